# SPDX-License-Identifier: Apache-2.0
#
# The latencies of the BEAM's side, loaded by bench.exs when one of them is asked for. The generator, the callers and
# the neighbours are those of ../latency_workloads.cpp, and so is the reason for them.

defmodule Bench.Latency.Target do
  use GenServer
  def init(work), do: {:ok, work}

  def handle_call(:get, _from, work) do
    if work > 0, do: Bench.Latency.work_for(work)
    {:reply, 7, work}
  end
end

defmodule Bench.Latency.Chatty do
  use GenServer
  def init(_), do: {:ok, nil}

  def handle_cast({:ball, from}, state) do
    GenServer.cast(from, {:ball, self()})
    {:noreply, state}
  end
end

defmodule Bench.Latency.Heavy do
  use GenServer

  def init(behind) do
    Process.send_after(self(), :work, 0)
    {:ok, behind}
  end

  def handle_info(:work, behind) do
    Process.send_after(self(), :work, 100)
    Enum.each(behind, &send(&1, :poke))
    Bench.Latency.work_for(50_000_000)
    {:noreply, behind}
  end
end

defmodule Bench.Latency do
  alias Bench.Latency.{Chatty, Heavy, Target}

  @callers 16
  @calls_beside 1000

  # What is done at scale 1, and the unit.
  @sizes %{
    "latency_half_load" => {20_000, "us"},
    "latency_beside_chatty" => {2_000, "us"},
    "latency_beside_flood" => {2_000, "us"},
    "latency_beside_10k" => {2_000, "us"},
    "latency_beside_handler" => {2_000, "us"},
    "latency_behind_handler" => {2_000, "us"},
    "latency_timer" => {2_000, "us"},
    "latency_wake_up" => {100, "us"}
  }

  def sizes, do: @sizes

  # Each answers {:latencies, a list of nanoseconds}.

  def run("latency_half_load", n), do: call_at_random(n, 10_000, 50_000)

  def run("latency_beside_chatty", n) do
    {:ok, one} = GenServer.start(Chatty, nil)
    {:ok, other} = GenServer.start(Chatty, nil)
    GenServer.cast(one, {:ball, other})
    beside(n, [one, other])
  end

  def run("latency_beside_flood", n) do
    sink = spawn(&sink/0)
    beside(n, [spawn(fn -> flood(sink) end), sink])
  end

  def run("latency_beside_10k", n) do
    blocked = blocked_processes()
    beside(n, [spawn(fn -> poke_again(blocked) end) | blocked])
  end

  def run("latency_beside_handler", n) do
    {:ok, heavy} = GenServer.start(Heavy, [])
    beside(n, [heavy])
  end

  def run("latency_behind_handler", n) do
    blocked = blocked_processes()
    {:ok, heavy} = GenServer.start(Heavy, blocked)
    beside(n, [heavy | blocked])
  end

  def run("latency_timer", n) do
    start_timers(n, 7920)

    {:latencies,
     for _ <- 1..n do
       receive do
         {:due, planned} -> now() - planned
       end
     end}
  end

  # The partner is bound to the second scheduler, the asking process to the first.
  def run("latency_wake_up", n) do
    main = self()
    partner = :erlang.spawn_opt(&answer/0, scheduler: 2)

    :erlang.spawn_opt(
      fn ->
        latencies =
          for _ <- 1..n do
            Process.sleep(10)
            start = now()
            send(partner, {:question, self()})

            receive do
              :answered -> now() - start
            end
          end

        send(main, {:noted, latencies})
      end,
      scheduler: 1
    )

    receive do
      {:noted, latencies} ->
        Process.exit(partner, :kill)
        {:latencies, latencies}
    end
  end

  def work_for(nanoseconds), do: work_until(now() + nanoseconds)
  defp work_until(moment), do: if(now() < moment, do: work_until(moment))

  defp now, do: System.monotonic_time(:nanosecond)

  defp beside(n, neighbours) do
    result = call_at_random(n, @calls_beside, 0)
    Enum.each(neighbours, &Process.exit(&1, :kill))
    result
  end

  # n calls, `rate` a second on average, to a server that works that many nanoseconds for each.
  defp call_at_random(n, rate, work) do
    {:ok, server} = GenServer.start(Target, work, name: Target)
    callers = List.to_tuple(for _ <- 1..@callers, do: spawn_link(fn -> call_when_told([]) end))
    generate(n, 7920, now() + 20_000_000, 1.0e9 / rate, callers)
    for caller <- Tuple.to_list(callers), do: send(caller, {:finish, self()})

    latencies =
      for _ <- 1..@callers do
        receive do
          {:noted, noted} -> noted
        end
      end

    GenServer.stop(server)
    {:latencies, List.flatten(latencies)}
  end

  defp generate(0, _, _, _, _), do: :ok

  defp generate(n, state, planned, distance, callers) do
    state = rem(state * 16807, 2_147_483_647)
    planned = planned - round(:math.log((rem(state, 1_000_000) + 1) / 1_000_001) * distance)
    yield_until(planned)
    send(elem(callers, rem(n, @callers)), {:moment, planned})
    generate(n - 1, state, planned, distance, callers)
  end

  defp yield_until(moment) do
    if now() < moment do
      :erlang.yield()
      yield_until(moment)
    end
  end

  defp call_when_told(noted) do
    receive do
      {:moment, planned} ->
        7 = GenServer.call(Target, :get, :infinity)
        call_when_told([now() - planned | noted])

      {:finish, main} ->
        send(main, {:noted, noted})
    end
  end

  defp sink do
    receive do
      {:all_sent, from} -> send(from, :drained)
      {:drop, _} -> :ok
    end

    sink()
  end

  defp flood(sink) do
    for i <- 1..10_000, do: send(sink, {:drop, i})
    send(sink, {:all_sent, self()})

    receive do
      :drained -> flood(sink)
    end
  end

  defp blocked_processes, do: for(_ <- 1..10_000, do: spawn(&blocked/0))

  defp blocked do
    receive do
      :poke -> blocked()
    end
  end

  defp poke_again(blocked) do
    Enum.each(blocked, &send(&1, :poke))
    Process.sleep(100)
    poke_again(blocked)
  end

  defp start_timers(0, _), do: :ok

  defp start_timers(n, state) do
    state = rem(state * 16807, 2_147_483_647)
    delay = 1 + rem(state, 1000)
    Process.send_after(self(), {:due, now() + delay * 1_000_000}, delay)
    start_timers(n - 1, state)
  end

  defp answer do
    receive do
      {:question, from} ->
        send(from, :answered)
        answer()
    end
  end
end
