# SPDX-License-Identifier: Apache-2.0
#
# Tables, what is reported, partitions. A step gives the environment, or nil for a word that it does not know.

defmodule Tables do
  import Values

  def step("new_table", [t | options], env) do
    options = Enum.map(options, fn {key, e} -> {key, value(e, env)} end)
    heir = if options[:heir], do: [{:heir, options[:heir], :heritage}], else: []
    all = [:named_table, options[:type] || :set, options[:access] || :protected] ++ heir
    quietly(env, fn -> :ets.new(value(t, env), all) end)
  end

  def step("insert_pair", [t, k, v], env), do: quietly(env, fn -> :ets.insert(t, {value(k, env), value(v, env)}) end)
  def step("insert_new", [t, k, v], env), do: tell(:insert_new, :ets.insert_new(t, {value(k, env), value(v, env)}), env)
  def step("find", [t, k], env), do: tell(:objects, :ets.lookup(t, value(k, env)), env)
  def step("member", [t, k], env), do: tell(:member, :ets.member(t, value(k, env)), env)
  def step("take", [t, k], env), do: tell(:taken, :ets.take(t, value(k, env)), env)
  def step("remove", [t, k], env), do: quietly(env, fn -> :ets.delete(t, value(k, env)) end)

  def step("remove_object", [t, k, v], env),
    do: quietly(env, fn -> :ets.delete_object(t, {value(k, env), value(v, env)}) end)

  def step("clear", [t], env), do: quietly(env, fn -> :ets.delete_all_objects(t) end)
  def step("destroy", [t], env), do: quietly(env, fn -> :ets.delete(t) end)
  def step("size", [t], env), do: tell(:size, :ets.info(t, :size), env)
  def step("owner", [t], env), do: tell(:owner, :ets.info(t, :owner), env)

  def step("all", [t], env) do
    all = :ets.tab2list(t)
    tell(:all, if(:ets.info(t, :type) == :ordered_set, do: all, else: Enum.sort(all)), env)
  end

  def step("first", [t], env), do: tell(:first, :ets.first(t), env)
  def step("last", [t], env), do: tell(:last, :ets.last(t), env)
  def step("next_key", [t, k], env), do: tell(:next, :ets.next(t, value(k, env)), env)
  def step("previous_key", [t, k], env), do: tell(:previous, :ets.prev(t, value(k, env)), env)

  def step("give_away", [t, p, e], env),
    do: quietly(env, fn -> :ets.give_away(t, value(p, env), value(e, env)) end)

  def step("rename", [t, name], env), do: quietly(env, fn -> :ets.rename(t, name) end)
  def step("new_counters", [t], env), do: quietly(env, fn -> :ets.new(t, [:named_table, :protected]) end)

  def step("add", [t, k, increment | options], env) do
    options = Enum.map(options, fn {key, e} -> {key, value(e, env)} end)

    operation =
      case options[:limit] do
        {threshold, to} -> {2, value(increment, env), threshold, to}
        nil -> {2, value(increment, env)}
      end

    counter =
      if options[:default],
        do: :ets.update_counter(t, value(k, env), operation, {value(k, env), options[:default]}),
        else: :ets.update_counter(t, value(k, env), operation)

    tell(:counter, counter, env)
  end

  def step(_, _, _), do: nil

  defp tell(what, value, env), do: quietly(env, fn -> Log.write({what, value}) end)

  defp quietly(env, action) do
    action.()
    env
  end
end

defmodule Partitions do
  import Values

  def step("partition_call", [s, key, e], env) do
    Log.write({:reply, GenServer.call({:via, PartitionSupervisor, {s, value(key, env)}}, value(e, env))})
    env
  end

  def step("partition_cast", [s, key, e], env) do
    GenServer.cast({:via, PartitionSupervisor, {s, value(key, env)}}, value(e, env))
    env
  end

  def step("partitions", [s], env) do
    Log.write({:partitions, PartitionSupervisor.partitions(s)})
    env
  end

  def step(_, _, _), do: nil
end

defmodule Reports do
  # Tells what a process reports where the process tells. A plain process is reported by another one: not told.
  def step("reports", [], env) do
    :logger.set_primary_config(:level, :all)
    :ok = :logger.add_handler(:scenario, Reports, %{level: :all})
    env
  end

  def step(_, _, _), do: nil

  def finish do
    :logger.remove_handler(:scenario)
    :logger.set_primary_config(:level, :none)
  end

  def log(%{level: level, msg: {:report, %{label: label} = report}, meta: %{pid: pid}}, _) when pid == self(),
    do: Log.write({:report, level, label, what(label, report)})

  def log(_, _), do: :ok

  defp what({:supervisor, :progress}, %{report: report}), do: child(report[:started])
  defp what({:supervisor, _}, %{report: report}), do: {bare(report[:reason]), child(report[:offender])}

  defp what({:proc_lib, :crash}, %{report: [info | _]}) do
    {class, reason, _} = info[:error_info]
    {class, bare(reason)}
  end

  defp what({Task.Supervisor, _}, %{report: report}), do: bare(report.reason)
  # A machine's report gives class, reason and stack.
  defp what({:gen_statem, _}, %{reason: {_, reason, _}}), do: bare(reason)
  defp what(_, %{reason: reason}), do: bare(reason)
  defp what(_, %{report: [_ | _] = report}), do: bare(report[:exited])
  defp what(_, _), do: nil

  defp child(facts), do: {facts[:id], facts[:pid]}

  defp bare({reason, [{_, _, _, _} | _]}), do: reason
  defp bare(reason), do: reason
end
