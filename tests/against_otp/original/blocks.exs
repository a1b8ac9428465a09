# SPDX-License-Identifier: Apache-2.0
#
# How blocks become servers, machines, supervisors and processes.

defmodule Server do
  use GenServer

  def init(block) do
    name = Start.block_name(block)
    Log.watch(name)
    lines = callback(block, "init")
    {env, result} = Play.run(lines || [], %{state: nil})
    s = %{block: block, env: Map.delete(env, :state), state: env[:state]}

    case result do
      nil -> {:ok, s}
      {:ok, nil} -> {:ok, s}
      {:ok, option} -> {:ok, s, option}
      :ignore -> :ignore
      {:stop, reason} -> {:stop, reason}
    end
  end

  def handle_call(message, from, s), do: handle("call", message, %{from: from}, s)
  def handle_cast(message, s), do: handle("cast", message, %{}, s)
  def handle_info(message, s), do: handle("info", message, %{}, s)
  def handle_continue(message, s), do: handle("continue", message, %{}, s)

  def terminate(reason, s) do
    lines = callback(s.block, "terminate") || []
    Play.run(lines, Map.merge(s.env, %{reason: reason, state: s.state}))
  end

  defp callback(block, word) do
    case Enum.find(block.body, &(&1.word == word)) do
      nil -> nil
      line -> line.body
    end
  end

  defp handle(word, message, extra, s) do
    env = s.env |> Map.put(:state, s.state) |> Map.merge(extra)

    found =
      Enum.find_value(s.block.body, fn line ->
        if line.word == word, do: with(%{} = bound <- Values.match(hd(line.args), message, env), do: {line, bound})
      end)

    if found == nil, do: exit({:no_clause, word})
    {line, bound} = found
    {after_, result} = Play.run(line.body, bound)
    s = %{s | state: after_[:state]}

    case result do
      nil -> {:noreply, s}
      {:noreply, nil} -> {:noreply, s}
      {:noreply, option} -> {:noreply, s, option}
      {:reply, value, nil} -> {:reply, value, s}
      {:reply, value, option} -> {:reply, value, s, option}
      {:stop, reason} -> {:stop, reason, s}
      {:stop, reason, value} -> {:stop, reason, value, s}
    end
  end
end

defmodule Machine do
  @behaviour :gen_statem
  # Enter calls are asked for by those blocks that have lines for them.
  def callback_mode,
    do: if(Process.get(:enters), do: [:handle_event_function, :state_enter], else: :handle_event_function)

  def init(block) do
    Log.watch(Start.block_name(block))
    Process.put(:enters, Enum.any?(block.body, &(&1.word == "enter")))
    {env, result} = Play.run(Enum.find(block.body, &(&1.word == "init")).body, %{data: nil})

    case result do
      {:ok, _} -> {:ok, env.state, %{block: block, data: env.data}, env[:actions] || []}
      :ignore -> :ignore
      {:stop, reason} -> {:stop, reason}
    end
  end

  def handle_event(:enter, old, phase, d) do
    {env, result} =
      find(d, "enter", fn [o, n] -> Values.match(n, phase, Values.match(o, old, %{data: d.data})) end, phase, %{})

    answer(result, env, %{d | data: env.data}, phase)
  end

  def handle_event(type, content, phase, d) do
    {kind, extra} =
      case type do
        {:call, from} -> {:call, %{from: from}}
        {:timeout, _} -> {:named_timeout, %{}}
        other -> {other, %{}}
      end

    matches = fn [k, pattern | state] ->
      bound = if k == kind, do: Values.match(pattern, content, %{data: d.data})
      if state == [], do: bound, else: Values.match(hd(state), phase, bound)
    end

    {env, result} = find(d, "on", matches, phase, extra)
    answer(result, env, %{d | data: env.data}, phase)
  end

  def terminate(reason, phase, d) do
    case Enum.find(d.block.body, &(&1.word == "terminate")) do
      nil -> :ok
      line -> Play.run(line.body, %{data: d.data, phase: phase, reason: reason})
    end
  end

  defp find(d, word, matches, phase, extra) do
    found =
      Enum.find_value(d.block.body, fn line ->
        if line.word == word, do: with(%{} = env <- matches.(line.args), do: {line, env})
      end)

    if found == nil, do: exit({:no_clause, word})
    {line, env} = found
    Play.run(line.body, Map.merge(Map.put(env, :phase, phase), extra))
  end

  defp answer(result, env, d, phase) do
    actions = env[:actions] || []

    case result do
      r when r in [nil, :keep] -> {:keep_state, d, actions}
      {:noreply, nil} -> {:keep_state, d, actions}
      {:next, state} -> {:next_state, state, d, actions}
      :repeat -> {:repeat_state, d, actions}
      {:stop, reason} -> stop(reason, actions, d, phase)
    end
  end

  defp stop(reason, actions, d, _) do
    case for({:reply, _, _} = reply <- actions, do: reply) do
      [] -> {:stop, reason, d}
      replies -> {:stop_and_reply, reason, replies, d}
    end
  end
end

defmodule Tree do
  use Supervisor

  def init(block) do
    Log.watch(Start.block_name(block))
    options = Start.options(block)

    children =
      for line <- block.body, line.word == "child", do: Start.child_spec(Start.block_name(line), tl(line.args))

    flags = %{
      strategy: options[:strategy],
      intensity: options[:max_restarts] || 3,
      period: options[:max_seconds] || 5,
      auto_shutdown: options[:auto_shutdown] || :never
    }

    {:ok, {flags, children}}
  end
end

defmodule DynamicTree do
  use DynamicSupervisor

  def init(block) do
    DynamicSupervisor.init([strategy: :one_for_one] ++ Keyword.delete(Start.options(block), :name))
  end
end

defmodule Start do
  def block_name(%{args: [{name, _, _} | _]}), do: name
  def blocks, do: :persistent_term.get(:blocks)

  def kind({name, _, _}, env) when not is_map_key(env, name), do: blocks()[name].word

  # A plain process.
  def body(name) do
    Log.watch(name)
    Play.run(blocks()[name].body, %{})
  end

  def value_of(name) do
    {_, value} =
      (
        Log.watch(name)
        Play.run(blocks()[name].body, %{})
      )

    value
  end

  def options(block), do: for({key, e} <- tl(block.args), do: {key, Values.value(e, %{})})
  def options(block, keys), do: for({key, e} <- tl(block.args), key in keys, do: {key, Values.value(e, %{})})

  def start_link(name), do: start(name, true)

  def start(name, link) do
    block = blocks()[name]

    named =
      case options(block, [:key])[:key] do
        nil -> options(block, [:name])
        key -> [name: {:via, Registry, {Scenario.Unique, key}}]
      end

    case {block.word, link} do
      {"server", true} -> GenServer.start_link(Server, block, named)
      {"server", false} -> GenServer.start(Server, block, named)
      {"machine", true} -> :gen_statem.start_link(Machine, block, [])
      {"machine", false} -> :gen_statem.start(Machine, block, [])
      {"supervisor", true} -> Supervisor.start_link(Tree, block, named)
      {"dynamic_supervisor", true} -> watched(DynamicSupervisor.start_link(DynamicTree, block, named), name)
      {"partition_supervisor", true} -> watched(partitions(block), name)
      {"process", true} -> {:ok, linked(name)}
    end
  end

  defp partitions(block) do
    [child] = for {:child, {name, _, _}} <- tl(block.args), do: name
    options = options(block, [:name, :partitions, :max_restarts, :max_seconds])
    PartitionSupervisor.start_link([strategy: :one_for_one, child_spec: child_spec(child, [])] ++ options)
  end

  defp watched({:ok, pid} = started, name) do
    Log.watch(name, pid)
    started
  end

  defp watched(other, _), do: other

  defp linked(name) do
    pid = spawn_link(fn -> body(name) end)
    Log.watch(name, pid)
    pid
  end

  def child_spec(name, options) do
    type = if blocks()[name].word in ["supervisor", "dynamic_supervisor"], do: :supervisor, else: :worker
    Map.merge(%{id: name, start: {Start, :start_link, [name]}, type: type}, Map.new(options))
  end
end
