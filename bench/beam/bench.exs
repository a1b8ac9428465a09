# SPDX-License-Identifier: Apache-2.0
#
# The BEAM's side of the benchmark. One workload a run:
#
#   elixir --erl "+S 2:2" bench.exs WORKLOAD SCALE [REPEATS]
#
# REPEATS is a number, or "step": then a line on standard input asks for each repeat, until the input ends.
# SCALE multiplies the workload's number of operations (1 is the full size). Every repeat prints one line
# "workload<TAB>threads<TAB>value<TAB>unit". The workloads are defined in ../README.md. Logging is off. Everything that
# is measured is inside a module and therefore compiled. Each repeat runs in a process of its own, whose heap is fresh.

defmodule Bench.PingPongServer do
  use GenServer

  # The state is the number of casts still to be answered and who is told at the end.
  def init({left, main}), do: {:ok, {left, main}}

  def handle_cast({:ball, from}, {left, main}) do
    if left == 0 do
      send(main, :done)
    else
      GenServer.cast(from, {:ball, self()})
    end

    {:noreply, {left - 1, main}}
  end
end

defmodule Bench.PingPongPlain do
  def loop(left, main) do
    receive do
      {:ball, from} ->
        if left == 0 do
          send(main, :done)
        else
          send(from, {:ball, self()})
          loop(left - 1, main)
        end
    end
  end
end

defmodule Bench.Counter do
  use GenServer

  def increment, do: GenServer.cast(__MODULE__, :increment)
  def get_value, do: GenServer.call(__MODULE__, :get_value)

  def init(value), do: {:ok, value}
  def handle_cast(:increment, value), do: {:noreply, value + 1}
  def handle_call(:get_value, _from, value), do: {:reply, value, value}
end

defmodule Bench.FanIn do
  def receive_all(0, main), do: send(main, :done)

  def receive_all(left, main) do
    receive do
      {:value, _} -> receive_all(left - 1, main)
    end
  end

  def send_all(_, 0), do: :ok

  def send_all(to, left) do
    send(to, {:value, left})
    send_all(to, left - 1)
  end
end

defmodule Bench.Tasks do
  def batches(0), do: :ok

  def batches(left) do
    tasks = for i <- 1..1000, do: Task.async(fn -> i end)
    500_500 = tasks |> Enum.map(&Task.await/1) |> Enum.sum()
    batches(left - 1)
  end

  # The largest n whose tree of tasks has no more than `limit`, with fib(n) and the number of its tasks.
  def largest(limit, n \\ 2, here \\ 1, next \\ 2) do
    if 2 * (here + next) - 2 <= limit,
      do: largest(limit, n + 1, next, here + next),
      else: {n, here, 2 * next - 2}
  end

  def fib(n) when n < 2, do: n

  def fib(n) do
    first = Task.async(fn -> fib(n - 1) end)
    second = Task.async(fn -> fib(n - 2) end)
    Task.await(first, :infinity) + Task.await(second, :infinity)
  end
end

defmodule Bench.Readers do
  # Numbers that do not follow each other, the same on all sides.
  def scatter(state), do: rem(state * 16807, 2_147_483_647)

  # Runs function.(number) for `each` scattered numbers below `below` in as many processes as there are schedulers.
  def run(each, below, function) do
    main = self()

    for reader <- 0..(System.schedulers_online() - 1) do
      spawn_link(fn ->
        loop(each, reader * 7919 + 1, below, function)
        send(main, :reader_done)
      end)
    end

    for _ <- 1..System.schedulers_online() do
      receive do
        :reader_done -> :ok
      end
    end
  end

  defp loop(0, _, _, _), do: :ok

  defp loop(left, state, below, function) do
    state = scatter(state)
    function.(rem(state, below))
    loop(left - 1, state, below, function)
  end
end

defmodule Bench.Echo do
  use GenServer
  def init(_), do: {:ok, nil}
  def handle_call(:get, _from, state), do: {:reply, 7, state}
end

defmodule Bench.Failing do
  use GenServer
  def start_link(main), do: GenServer.start_link(__MODULE__, main)

  def init(main) do
    send(main, {:started, self()})
    {:ok, nil}
  end

  def handle_cast(:stop, state), do: {:stop, :bench, state}
  def handle_cast(:throw, _), do: raise("bench")

  def restarts(0, _, _), do: :ok

  def restarts(left, server, message) do
    GenServer.cast(server, message)

    receive do
      {:started, server} -> restarts(left - 1, server, message)
    end
  end
end

defmodule Bench.Workloads do
  # The number of operations, or of processes, at scale 1.
  @sizes %{
    "ping_pong_servers" => 2_000_000,
    "ping_pong_plain" => 2_000_000,
    "call" => 500_000,
    "call_in_place" => 500_000,
    "cast_then_get" => 5_000_000,
    "fan_in" => 4_000_000,
    "spawn" => 1_000_000,
    "task" => 200_000,
    "fib" => 640_000,
    "registry_lookup" => 2_000_000,
    "call_via" => 500_000,
    "ets_lookup" => 2_000_000,
    "ets_overwrite" => 2_000_000,
    "ets_ordered_lookup" => 2_000_000,
    "restart_exit" => 100_000,
    "restart_throw" => 100_000,
    "children_start" => 100_000,
    "children_stop" => 100_000,
    "bytes_idle_server" => 200_000,
    "bytes_blocked_process" => 100_000
  }

  def sizes, do: @sizes
  def unit("bytes_" <> _), do: "bytes"
  def unit("ping_pong" <> _), do: "messages/s"
  def unit("fan_in"), do: "messages/s"
  def unit("call"), do: "calls/s"
  def unit("call_in_place"), do: "calls/s"
  def unit("cast_then_get"), do: "casts/s"
  def unit("spawn"), do: "spawns/s"
  def unit("task"), do: "tasks/s"
  def unit("fib"), do: "tasks/s"
  def unit("call_via"), do: "calls/s"
  def unit("ets_overwrite"), do: "writes/s"
  def unit("restart_" <> _), do: "restarts/s"
  def unit("children_" <> _), do: "children/s"
  def unit(_), do: "lookups/s"

  # Each workload answers {operations, nanoseconds} or {:bytes, bytes_each}.

  def run("ping_pong_servers", n) do
    each = max(div(n, 2), 1)
    {:ok, one} = GenServer.start(Bench.PingPongServer, {each, self()})
    {:ok, two} = GenServer.start(Bench.PingPongServer, {each, self()})

    time = timed(fn ->
      GenServer.cast(one, {:ball, two})
      await(:done)
    end)

    Enum.each([one, two], &GenServer.stop/1)
    {2 * each, time}
  end

  def run("ping_pong_plain", n) do
    each = max(div(n, 2), 1)
    main = self()
    one = spawn(fn -> Bench.PingPongPlain.loop(each, main) end)
    two = spawn(fn -> Bench.PingPongPlain.loop(each, main) end)

    time = timed(fn ->
      send(one, {:ball, two})
      await(:done)
    end)

    Process.exit(two, :kill)
    {2 * each, time}
  end

  def run("call", n) do
    {:ok, server} = GenServer.start(Bench.Counter, 0, name: Bench.Counter)
    time = timed(fn -> call_all(n) end)
    GenServer.stop(server)
    {n, time}
  end

  # The same program: BEAM has no such promise.
  def run("call_in_place", n), do: run("call", n)

  def run("cast_then_get", n) do
    {:ok, server} = GenServer.start(Bench.Counter, 0, name: Bench.Counter)

    time = timed(fn ->
      cast_all(n)
      # The call waits behind all the casts, longer than the default five seconds on a slow machine.
      ^n = GenServer.call(Bench.Counter, :get_value, :infinity)
    end)

    GenServer.stop(server)
    {n, time}
  end

  def run("fan_in", n) do
    each = max(div(n, 8), 1)
    main = self()

    time = timed(fn ->
      receiver = spawn(fn -> Bench.FanIn.receive_all(8 * each, main) end)
      for _ <- 1..8, do: spawn(fn -> Bench.FanIn.send_all(receiver, each) end)
      await(:done)
    end)

    {8 * each, time}
  end

  def run("spawn", n) do
    batches = max(div(n, 1000), 1)
    time = timed(fn -> spawn_batches(batches, :atomics.new(1, []), self()) end)
    {1000 * batches, time}
  end

  def run("task", n) do
    batches = max(div(n, 1000), 1)
    {1000 * batches, timed(fn -> Bench.Tasks.batches(batches) end)}
  end

  def run("fib", count) do
    {n, value, tasks} = Bench.Tasks.largest(count)
    {tasks, timed(fn -> ^value = Bench.Tasks.fib(n) end)}
  end

  def run("registry_lookup", n) do
    # Who is registered is linked to the registry, which is stopped at the end.
    Process.flag(:trap_exit, true)
    {:ok, registry} = Registry.start_link(keys: :unique, name: Bench.Names)
    keys = List.to_tuple(for i <- 0..99_999, do: "name #{i}")
    for key <- Tuple.to_list(keys), do: {:ok, _} = Registry.register(Bench.Names, key, nil)
    each = div(n, System.schedulers_online())
    me = self()

    time = timed(fn ->
      Bench.Readers.run(each, 100_000, fn i -> ^me = Registry.whereis_name({Bench.Names, elem(keys, i)}) end)
    end)

    Supervisor.stop(registry)
    {each * System.schedulers_online(), time}
  end

  def run("call_via", n) do
    {:ok, registry} = Registry.start_link(keys: :unique, name: Bench.Names)
    address = {:via, Registry, {Bench.Names, "echo"}}
    {:ok, _} = GenServer.start(Bench.Echo, nil, name: address)
    time = timed(fn -> via_all(n, address) end)
    GenServer.stop(address)
    Supervisor.stop(registry)
    {n, time}
  end

  def run("ets_lookup", n), do: ets_lookup(:set, n)
  def run("ets_ordered_lookup", n), do: ets_lookup(:ordered_set, n)

  def run("ets_overwrite", n) do
    table = filled_table(:set, div(n, 2), write_concurrency: true)
    each = div(n, System.schedulers_online())
    value = String.duplicate("z", 64)
    time = timed(fn -> Bench.Readers.run(each, div(n, 2), &:ets.insert(table, {&1, value})) end)
    :ets.delete(table)
    {each * System.schedulers_online(), time}
  end

  def run("restart_" <> how, n) do
    {:ok, supervisor} =
      Supervisor.start_link([{Bench.Failing, self()}], strategy: :one_for_one, max_restarts: 1_000_000_000, max_seconds: 1)

    server =
      receive do
        {:started, server} -> server
      end

    message = if how == "exit", do: :stop, else: :throw
    time = timed(fn -> Bench.Failing.restarts(n, server, message) end)
    Supervisor.stop(supervisor)
    {n, time}
  end

  def run("children_" <> which, n) do
    {:ok, supervisor} = DynamicSupervisor.start_link(strategy: :one_for_one)
    spec = %{id: Bench.Echo, start: {GenServer, :start_link, [Bench.Echo, nil]}}
    started = timed(fn -> start_children(n, supervisor, spec) end)
    stopped = timed(fn -> DynamicSupervisor.stop(supervisor, :normal, :infinity) end)
    {n, if(which == "start", do: started, else: stopped)}
  end

  def run("bytes_idle_server", n) do
    before = resident_bytes()
    start_all(n)
    :erlang.garbage_collect()
    {:bytes, (resident_bytes() - before) / n}
  end

  def run("bytes_blocked_process", n) do
    running = :atomics.new(1, [])
    before = resident_bytes()
    block_all(n, running)
    wait_until(fn -> :atomics.get(running, 1) == n end)
    :erlang.garbage_collect()
    {:bytes, (resident_bytes() - before) / n}
  end

  # Half as many entries of 64 bytes as there are operations, a million at scale 1.
  defp filled_table(type, entries, options) do
    table = :ets.new(:bench, [type, :public | options])
    for i <- 0..(entries - 1), do: :ets.insert(table, {i, String.duplicate(<<?a + rem(i, 26)>>, 64)})
    table
  end

  defp ets_lookup(type, n) do
    entries = div(n, 2)
    table = filled_table(type, entries, read_concurrency: true)
    each = div(n, System.schedulers_online())
    time = timed(fn -> Bench.Readers.run(each, entries, fn i -> [{_, <<_::binary-64>>}] = :ets.lookup(table, i) end) end)
    :ets.delete(table)
    {each * System.schedulers_online(), time}
  end

  defp via_all(0, _), do: :ok

  defp via_all(n, address) do
    7 = GenServer.call(address, :get)
    via_all(n - 1, address)
  end

  defp start_children(0, _, _), do: :ok

  defp start_children(n, supervisor, spec) do
    {:ok, _} = DynamicSupervisor.start_child(supervisor, spec)
    start_children(n - 1, supervisor, spec)
  end

  defp call_all(0), do: :ok

  defp call_all(n) do
    Bench.Counter.get_value()
    call_all(n - 1)
  end

  defp cast_all(0), do: :ok

  defp cast_all(n) do
    Bench.Counter.increment()
    cast_all(n - 1)
  end

  defp spawn_batches(0, _, _), do: :ok

  defp spawn_batches(batches, left, main) do
    :atomics.put(left, 1, 1000)
    spawn_batch(1000, left, main)
    await(:batch_done)
    spawn_batches(batches - 1, left, main)
  end

  defp spawn_batch(0, _, _), do: :ok

  defp spawn_batch(n, left, main) do
    spawn(fn -> if :atomics.sub_get(left, 1, 1) == 0, do: send(main, :batch_done) end)
    spawn_batch(n - 1, left, main)
  end

  # The pids are not kept: they would be counted.
  defp start_all(0), do: :ok

  defp start_all(n) do
    {:ok, _} = GenServer.start(Bench.Counter, n)
    start_all(n - 1)
  end

  defp block_all(0, _), do: :ok

  defp block_all(n, running) do
    spawn(fn ->
      :atomics.add(running, 1, 1)

      receive do
        :stop -> :ok
      end
    end)

    block_all(n - 1, running)
  end

  defp await(message) do
    receive do
      ^message -> :ok
    end
  end

  defp wait_until(condition) do
    unless condition.() do
      Process.sleep(1)
      wait_until(condition)
    end
  end

  defp timed(function) do
    start = System.monotonic_time(:nanosecond)
    function.()
    max(System.monotonic_time(:nanosecond) - start, 1)
  end

  defp resident_bytes do
    [_, kibibytes] = Regex.run(~r/VmRSS:\s+(\d+) kB/, File.read!("/proc/self/status"))
    String.to_integer(kibibytes) * 1024
  end
end

defmodule Bench.Main do
  def main([workload, scale]), do: main([workload, scale, "1"])

  def main([workload, scale, repeats]) do
    :logger.set_primary_config(:level, :none)
    {scale, ""} = Float.parse(scale)

    case Enum.find_value(modules(), &find(&1, workload)) do
      {module, size, unit} ->
        n = max(round(size * scale), 1)
        # The first run, a twentieth of the size, is not measured: it loads code and lets allocators grow.
        if String.ends_with?(unit, "/s"), do: fresh(module, workload, max(div(n, 20), 1))
        repeat(repeats, fn -> report(workload, unit, fresh(module, workload, n)) end)

      _ ->
        usage()
    end
  end

  def main(_), do: usage()

  # To compile a file takes as long as some workloads do: only what is asked for is loaded.
  defp modules do
    Stream.map([{Bench.Workloads, nil}, {Bench.More, "more.exs"}, {Bench.Latency, "latency.exs"}], fn {module, file} ->
      if file, do: Code.require_file(file, __DIR__)
      module
    end)
  end

  defp find(module, workload) do
    case module.sizes() do
      %{^workload => {size, unit}} -> {module, size, unit}
      %{^workload => size} -> {module, size, module.unit(workload)}
      _ -> nil
    end
  end

  defp repeat("step", function) do
    if is_binary(IO.gets("")) do
      function.()
      repeat("step", function)
    end
  end

  defp repeat(repeats, function), do: for(_ <- 1..String.to_integer(repeats), do: function.())

  defp fresh(module, workload, n), do: Task.await(Task.async(fn -> module.run(workload, n) end), :infinity)

  defp report(workload, unit, {:latencies, nanoseconds}) do
    sorted = nanoseconds |> Enum.sort() |> List.to_tuple()

    for {name, part} <- [{"p50", 0.5}, {"p99", 0.99}, {"p99.9", 0.999}] do
      # By nearest rank.
      rank = ceil(part * tuple_size(sorted)) |> max(1) |> min(tuple_size(sorted))
      print("#{workload}.#{name}", unit, elem(sorted, rank - 1) / 1000)
    end
  end

  defp report(workload, unit, {kind, value}) when kind in [:bytes, :figure], do: print(workload, unit, value / 1)
  defp report(workload, unit, {operations, time}), do: print(workload, unit, operations * 1.0e9 / time)

  defp print(name, unit, value) do
    IO.puts("#{name}\t#{System.schedulers_online()}\t#{:erlang.float_to_binary(value, decimals: 3)}\t#{unit}")
  end

  defp usage do
    IO.puts(:stderr, "usage: elixir --erl \"+S N:N\" bench.exs WORKLOAD SCALE [REPEATS | step]")
    names = Enum.flat_map(modules(), &Map.keys(&1.sizes()))
    IO.puts(:stderr, "workloads: #{Enum.join(Enum.sort(names), " ")}")
    System.halt(64)
  end
end

Bench.Main.main(System.argv())
