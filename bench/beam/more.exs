# SPDX-License-Identifier: Apache-2.0
#
# More workloads of the BEAM's side, loaded by bench.exs when one of them is asked for: calls in other circumstances,
# rings, monitors, timers, supervised servers, and a system that has nothing to do.

defmodule Bench.More.Echo do
  use GenServer
  def init(_), do: {:ok, nil}
  def handle_call(:get, _from, state), do: {:reply, 7, state}
end

defmodule Bench.More.Asking do
  use GenServer
  def init(helper), do: {:ok, helper}

  def handle_call(:get, _from, helper) do
    send(helper, {:question, self()})

    receive do
      :answered -> {:reply, 7, helper}
    end
  end

  def help do
    receive do
      {:question, from} ->
        send(from, :answered)
        help()
    end
  end
end

defmodule Bench.More.Station do
  use GenServer
  def init(main), do: {:ok, {nil, main}}
  def handle_cast({:next, next}, {_, main}), do: {:noreply, {next, main}}

  def handle_cast({:token, 0}, {next, main}) do
    send(main, :done)
    {:noreply, {next, main}}
  end

  def handle_cast({:token, left}, {next, main}) do
    GenServer.cast(next, {:token, left - 1})
    {:noreply, {next, main}}
  end
end

defmodule Bench.More.Big do
  use GenServer
  def init({number, left, main}), do: {:ok, {number * 7919 + 1, left, main, nil}}
  def handle_cast({:begin, peers}, {state, left, main, _}), do: {:noreply, ping({state, left, main, peers})}

  def handle_cast({:ping, from}, state) do
    GenServer.cast(from, :pong)
    {:noreply, state}
  end

  def handle_cast(:pong, {state, 1, main, peers}) do
    send(main, :done)
    {:noreply, {state, 0, main, peers}}
  end

  def handle_cast(:pong, {state, left, main, peers}), do: {:noreply, ping({state, left - 1, main, peers})}

  defp ping({state, left, main, peers}) do
    state = rem(state * 16807, 2_147_483_647)
    GenServer.cast(elem(peers, rem(state, 64)), {:ping, self()})
    {state, left, main, peers}
  end
end

defmodule Bench.More.Patient do
  use GenServer
  def init(_), do: {:ok, nil, 60_000}
  def handle_info(:timeout, state), do: {:stop, :normal, state}
end

defmodule Bench.More do
  alias Bench.More.{Asking, Big, Echo, Patient, Station}

  # What is done at scale 1, and the unit.
  @sizes %{
    "call_waits" => {500_000, "calls/s"},
    "call_elsewhere" => {500_000, "calls/s"},
    "call_noproc" => {500_000, "calls/s"},
    "call_noproc_caught" => {500_000, "calls/s"},
    "call_busy" => {500_000, "calls/s"},
    "ring_100" => {5_000_000, "hops/s"},
    "ring_10000" => {5_000_000, "hops/s"},
    "big" => {640_000, "pings/s"},
    "spawn_monitor" => {1_000_000, "spawns/s"},
    "timer_cancel" => {1_000_000, "timers/s"},
    "timer_due" => {1_000_000, "timers/s"},
    "bytes_supervised_server" => {200_000, "bytes"},
    "wakeups_empty" => {10_000, "wakeups"},
    "wakeups_servers" => {10_000, "wakeups"}
  }

  def sizes, do: @sizes

  # Answers {operations, nanoseconds} or {:figure, value}.

  def run("call_waits", n) do
    helper = spawn(&Asking.help/0)
    {:ok, server} = GenServer.start(Asking, helper, name: Asking)
    time = timed(fn -> times(n, fn -> 7 = GenServer.call(Asking, :get) end) end)
    GenServer.stop(server)
    Process.exit(helper, :kill)
    {n, time}
  end

  # Two callers, bound to one scheduler each, in turn; each calls every one of a thousand servers.
  def run("call_elsewhere", n) do
    servers = for _ <- 1..1000, do: elem({:ok, _} = GenServer.start(Echo, nil), 1)
    main = self()
    callers = for i <- 1..2, do: :erlang.spawn_opt(fn -> turns(servers, main) end, scheduler: i)
    [one, other] = callers
    turn(one)
    rounds = max(div(n, 2000), 1)
    time = Enum.reduce(1..rounds, 0, fn _, sum -> sum + turn(other) + turn(one) end)
    Enum.each(callers, &Process.exit(&1, :kill))
    Enum.each(servers, &GenServer.stop/1)
    {2000 * rounds, time}
  end

  # There is only one way to call here: the exit is caught.
  def run("call_noproc" <> _, n) do
    time =
      timed(fn ->
        times(n, fn ->
          :noproc =
            try do
              GenServer.call(Bench.Nobody, :get)
            catch
              :exit, {reason, _} -> reason
            end
        end)
      end)

    {n, time}
  end

  def run("call_busy", n) do
    each = max(div(n, 8), 1)
    main = self()
    {:ok, server} = GenServer.start(Echo, nil, name: Echo)

    time =
      timed(fn ->
        for _ <- 1..8 do
          spawn_link(fn ->
            times(each, fn -> 7 = GenServer.call(Echo, :get) end)
            send(main, :done)
          end)
        end

        await_many(8, :done)
      end)

    GenServer.stop(server)
    {8 * each, time}
  end

  def run("ring_" <> size, n) do
    stations = for _ <- 1..String.to_integer(size), do: elem({:ok, _} = GenServer.start(Station, self()), 1)

    for {station, next} <- Enum.zip(stations, tl(stations) ++ [hd(stations)]) do
      GenServer.cast(station, {:next, next})
    end

    time =
      timed(fn ->
        GenServer.cast(hd(stations), {:token, n})
        await_many(1, :done)
      end)

    Enum.each(stations, &Process.exit(&1, :kill))
    {n, time}
  end

  def run("big", n) do
    each = max(div(n, 64), 1)
    all = for i <- 0..63, do: elem({:ok, _} = GenServer.start(Big, {i, each, self()}), 1)
    peers = List.to_tuple(all)

    time =
      timed(fn ->
        Enum.each(all, &GenServer.cast(&1, {:begin, peers}))
        await_many(64, :done)
      end)

    Enum.each(all, &GenServer.stop/1)
    {64 * each, time}
  end

  def run("spawn_monitor", n) do
    batches = max(div(n, 1000), 1)

    time =
      timed(fn ->
        times(batches, fn ->
          times(1000, fn -> spawn_monitor(fn -> :ok end) end)

          times(1000, fn ->
            receive do
              {:DOWN, _, :process, _, :normal} -> :ok
            end
          end)
        end)
      end)

    {1000 * batches, time}
  end

  def run("timer_cancel", n) do
    me = self()

    time =
      timed(fn ->
        times(n, fn ->
          timer = Process.send_after(me, :due, 60_000)
          true = is_integer(Process.cancel_timer(timer))
        end)
      end)

    {n, time}
  end

  def run("timer_due", n) do
    time =
      timed(fn ->
        start_timers(n, 1)
        await_many(n, :due)
      end)

    {n, time}
  end

  def run("bytes_supervised_server", n) do
    {:ok, supervisor} = DynamicSupervisor.start_link(strategy: :one_for_one)
    spec = %{id: Echo, start: {GenServer, :start_link, [Echo, nil]}}
    before = resident_bytes()
    times(n, fn -> {:ok, _} = DynamicSupervisor.start_child(supervisor, spec) end)
    :erlang.garbage_collect()
    {:figure, (resident_bytes() - before) / n}
  end

  def run("wakeups_empty", n), do: {:figure, wakeups_in(n)}

  def run("wakeups_servers", n) do
    times(100_000, fn -> {:ok, _} = GenServer.start(Patient, nil) end)
    {:figure, wakeups_in(n)}
  end

  defp turns(servers, main) do
    receive do
      :your_turn ->
        send(main, {:spent, timed(fn -> Enum.each(servers, fn server -> 7 = GenServer.call(server, :get) end) end)})
        turns(servers, main)
    end
  end

  defp turn(caller) do
    send(caller, :your_turn)

    receive do
      {:spent, time} -> time
    end
  end

  defp start_timers(0, _), do: :ok

  defp start_timers(n, state) do
    state = rem(state * 16807, 2_147_483_647)
    Process.send_after(self(), :due, rem(state, 100))
    start_timers(n - 1, state)
  end

  defp await_many(0, _), do: :ok

  defp await_many(n, message) do
    receive do
      ^message -> await_many(n - 1, message)
    end
  end

  defp times(0, _), do: :ok

  defp times(n, function) do
    function.()
    times(n - 1, function)
  end

  # How often threads of this program went to sleep of their own accord, scaled to ten seconds.
  defp wakeups_in(milliseconds) do
    Process.sleep(500)
    before = voluntary_switches()
    Process.sleep(milliseconds)
    (voluntary_switches() - before) * 10_000 / milliseconds
  end

  defp voluntary_switches do
    {:ok, threads} = File.ls("/proc/self/task")

    Enum.sum(
      for thread <- threads do
        case File.read("/proc/self/task/#{thread}/status") do
          {:ok, text} -> String.to_integer(hd(tl(Regex.run(~r/\nvoluntary_ctxt_switches:\s+(\d+)/, text))))
          _ -> 0
        end
      end
    )
  end

  defp resident_bytes do
    [_, kibibytes] = Regex.run(~r/VmRSS:\s+(\d+) kB/, File.read!("/proc/self/status"))
    String.to_integer(kibibytes) * 1024
  end

  defp timed(function) do
    start = System.monotonic_time(:nanosecond)
    function.()
    max(System.monotonic_time(:nanosecond) - start, 1)
  end
end
