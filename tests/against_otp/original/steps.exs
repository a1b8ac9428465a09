# SPDX-License-Identifier: Apache-2.0
#
# What a process does at each line.

defmodule Play do
  import Values

  # Runs lines; {environment, what a callback returns or nil}.
  def run([], env), do: {env, nil}

  def run([line | rest], env) do
    case step(line.word, line.args, line, env) do
      {:result, result, env} -> {env, result}
      env -> run(rest, env)
    end
  end

  defp name_of({name, _, context}) when is_atom(context), do: name

  # -- what every process can do
  defp step("log", [e], _, env), do: log(value(e, env), env)
  defp step("put", [e], _, env), do: Map.put(env, :state, value(e, env))
  defp step("let", [v, e], _, env), do: Map.put(env, name_of(v), value(e, env))

  defp step("send", [to, e], _, env) do
    send(value(to, env), value(e, env))
    env
  end

  defp step("send_after", [to, e, ms], _, env) do
    Process.send_after(value(to, env), value(e, env), ms)
    env
  end

  defp step("spawn", [n | _], _, env), do: spawned(n, &spawn/1, env)
  defp step("spawn_link", [n | _], _, env), do: spawned(n, &spawn_link/1, env)

  defp step("spawn_monitor", [n, r], _, env) do
    name = name_of(n)
    {pid, ref} = spawn_monitor(fn -> Start.body(name) end)
    Log.watch(name, pid)
    Map.put(env, name_of(r), ref)
  end

  defp step("link", [p], _, env) do
    Process.link(value(p, env))
    env
  end

  defp step("unlink", [p], _, env) do
    Process.unlink(value(p, env))
    env
  end

  defp step("monitor", [p], _, env) do
    Process.monitor(value(p, env))
    env
  end

  defp step("monitor", [p, r], _, env), do: Map.put(env, name_of(r), Process.monitor(value(p, env)))

  defp step("demonitor", [r | options], _, env) do
    answer = Process.demonitor(value(r, env), options)
    if :info in options, do: log({:demonitor, answer}, env), else: env
  end

  defp step("alias", [r | options], _, env), do: Map.put(env, name_of(r), :erlang.alias(options))
  defp step("unalias", [r], _, env), do: log({:unalias, :erlang.unalias(value(r, env))}, env)

  defp step("monitor_alias", [p, mode, r], _, env),
    do: Map.put(env, name_of(r), :erlang.monitor(:process, value(p, env), alias: mode))

  defp step("trap_exit", [on], _, env) do
    Process.flag(:trap_exit, on)
    env
  end

  defp step("exit", [e], _, env), do: exit(value(e, env))

  defp step("exit_signal", [p, e], _, env) do
    Process.exit(value(p, env), value(e, env))
    env
  end

  defp step("raise", [text], _, _), do: raise(text)

  defp step("receive", [], _, env) do
    receive do
      message -> log({:got, message}, env)
    end
  end

  defp step("receive", [pattern | more], _, env), do: selective(pattern, List.first(more) || :infinity, env)
  defp step("flush", [], line, env), do: flush(line, env)
  defp step("wait", [], _, _), do: Process.sleep(:infinity)

  defp step("sleep", [ms], _, env) do
    Process.sleep(ms)
    env
  end

  defp step("settle", [], _, env) do
    Quiet.wait()
    env
  end

  defp step("register", [p, name], _, env) do
    :erlang.register(name, value(p, env))
    env
  end

  defp step("unregister", [name], _, env) do
    Process.unregister(name)
    env
  end

  defp step("whereis", [name], _, env), do: log({:whereis, Process.whereis(name)}, env)
  defp step("alive", [p], _, env), do: log({:alive, Process.alive?(value(p, env))}, env)

  defp step("links", [], _, env) do
    {:links, links} = Process.info(self(), :links)
    log({:links, Enum.filter(links, &named?/1) |> Enum.sort_by(&name_in_log/1)}, env)
  end

  defp step("queue_length", [p], _, env) do
    {_, length} = Process.info(value(p, env), :message_queue_len)
    log({:queue_length, length}, env)
  end

  defp step("try", [], line, env) do
    try do
      {env, nil} = run(line.body, env)
      env
    catch
      :exit, reason -> log({:caught, reason}, env)
      :error, %ArgumentError{} -> log({:caught, :badarg}, env)
      :error, :badarg -> log({:caught, :badarg}, env)
      :error, %ErlangError{original: original} -> log({:caught, original}, env)
      :error, %RuntimeError{message: text} -> log({:caught, {:error, text}}, env)
      :error, original when is_atom(original) -> log({:caught, original}, env)
      :throw, value -> log({:caught, {:throw, value}}, env)
    end
  end

  defp step("if_registered", [name], line, env) do
    if Process.whereis(name), do: nested(line, env), else: env
  end

  defp step("if_same", [a, b], line, env) do
    if value(a, env) === value(b, env), do: nested(line, env), else: env
  end

  defp step("dictionary_put", [k, v], _, env), do: log({:previous, Process.put(value(k, env), value(v, env))}, env)
  defp step("dictionary_get", [k], _, env), do: log({:value, Process.get(value(k, env))}, env)

  # -- servers
  defp step(start, [n | _], _, env) when start in ["start", "start_link"] do
    started = Start.start(name_of(n), start == "start_link")
    # OTP 25 tells of a failed start before the process has ended: its exit signal may still be under way.
    if not match?({:ok, _}, started), do: Process.sleep(10)
    log({:started, started}, env)
  end

  defp step("call", [s, e | timeout], _, env) do
    log({:reply, GenServer.call(value(s, env), value(e, env), List.first(timeout) || 5000)}, env)
  end

  defp step("cast", [s, e], _, env) do
    GenServer.cast(value(s, env), value(e, env))
    env
  end

  defp step("stop_server", [s | more], _, env) do
    [reason, timeout] = Enum.map(more, &value(&1, env)) ++ Enum.drop([:normal, :infinity], length(more))
    log({:stopped, GenServer.stop(value(s, env), reason, timeout)}, env)
  end

  defp step("keep_from", [name], _, env) do
    Process.put({:from, name_of(name)}, env.from)
    env
  end

  defp step("reply_to", [name, e], _, env) do
    GenServer.reply(Process.get({:from, name_of(name)}), value(e, env))
    env
  end

  defp step("get_state", [s], _, env), do: log({:state, :sys.get_state(value(s, env)).state}, env)
  defp step("suspend", [s], _, env), do: quietly(env, fn -> :sys.suspend(value(s, env)) end)
  defp step("resume", [s], _, env), do: quietly(env, fn -> :sys.resume(value(s, env)) end)

  # -- supervisors
  defp step("which_children", [s], _, env) do
    children = for {id, pid, type, _} <- Supervisor.which_children(value(s, env)), do: {id, pid, type}
    log({:children, children}, env)
  end

  defp step("count_children", [s], _, env) do
    counts = Supervisor.count_children(value(s, env))
    log({:counts, counts.specs, counts.active, counts.supervisors, counts.workers}, env)
  end

  defp step("start_child", [s, n | options], _, env) do
    supervisor = value(s, env)
    spec = Start.child_spec(name_of(n), options)

    answer =
      if Start.kind(s, env) == "dynamic_supervisor",
        do: DynamicSupervisor.start_child(supervisor, spec),
        else: Supervisor.start_child(supervisor, spec)

    log({:start_child, answer}, env)
  end

  defp step("terminate_child", [s, id], _, env) do
    answer =
      if Start.kind(s, env) == "dynamic_supervisor",
        do: DynamicSupervisor.terminate_child(value(s, env), value(id, env)),
        else: Supervisor.terminate_child(value(s, env), value(id, env))

    log({:terminate_child, answer}, env)
  end

  defp step("restart_child", [s, id], _, env),
    do: log({:restart_child, Supervisor.restart_child(value(s, env), value(id, env))}, env)

  defp step("delete_child", [s, id], _, env),
    do: log({:delete_child, Supervisor.delete_child(value(s, env), value(id, env))}, env)

  # -- tasks
  defp step("async", [t, n], _, env) do
    name = name_of(n)
    task = Task.async(fn -> Start.value_of(name) end)
    Log.watch(name, task.pid)
    Map.put(env, name_of(t), task)
  end

  defp step("start_task", [n], _, env) do
    name = name_of(n)
    {:ok, pid} = Task.start(fn -> Start.value_of(name) end)
    Log.watch(name, pid)
    env
  end

  defp step("await", [t | timeout], _, env),
    do: log({:awaited, Task.await(value(t, env), List.first(timeout) || 5000)}, env)

  defp step("yield", [t | timeout], _, env),
    do: log({:yielded, Task.yield(value(t, env), List.first(timeout) || 5000)}, env)

  defp step("shutdown_task", [t | how], _, env),
    do: log({:shut_down, Task.shutdown(value(t, env), List.first(how) || 5000)}, env)

  defp step("ignore_task", [t], _, env), do: log({:ignored, Task.ignore(value(t, env))}, env)

  defp step("start_task_supervisor", [n], _, env) do
    {:ok, pid} = Task.Supervisor.start_link()
    Log.watch(name_of(n), pid)
    log(:started, env)
  end

  defp step(async, [t, s, n], _, env) when async in ["supervised_async", "async_nolink"] do
    name = name_of(n)
    work = fn -> Start.value_of(name) end
    supervisor = value(s, env)

    task =
      if async == "async_nolink",
        do: Task.Supervisor.async_nolink(supervisor, work),
        else: Task.Supervisor.async(supervisor, work)

    Log.watch(name, task.pid)
    Map.put(env, name_of(t), task)
  end

  defp step("supervised_task", [s, n], _, env) do
    name = name_of(n)
    {:ok, pid} = Task.Supervisor.start_child(value(s, env), fn -> Start.value_of(name) end)
    Log.watch(name, pid)
    log({:start_child, {:ok, pid}}, env)
  end

  defp step("task_children", [s], _, env),
    do: log({:children, Enum.sort_by(Task.Supervisor.children(value(s, env)), &name_in_log/1)}, env)

  # -- agents
  defp step("start_agent", [n, e], _, env) do
    first = value(e, env)
    name = name_of(n)

    log(
      {:started,
       Agent.start_link(fn ->
         Log.watch(name)
         first
       end)},
      env
    )
  end

  defp step("agent_get", [a], _, env), do: log({:value, Agent.get(value(a, env), & &1)}, env)

  defp step("agent_put", [a, e], _, env) do
    next = value(e, env)
    quietly(env, fn -> Agent.update(value(a, env), fn _ -> next end) end)
  end

  defp step("agent_cast", [a, e], _, env) do
    next = value(e, env)
    quietly(env, fn -> Agent.cast(value(a, env), fn _ -> next end) end)
  end

  defp step("agent_swap", [a, e], _, env) do
    next = value(e, env)
    log({:value, Agent.get_and_update(value(a, env), fn old -> {old, next} end)}, env)
  end

  defp step("agent_exit", [a, e], _, env) do
    reason = value(e, env)
    quietly(env, fn -> Agent.get(value(a, env), fn _ -> exit(reason) end) end)
  end

  defp step("agent_raise", [a, text], _, env),
    do: quietly(env, fn -> Agent.get(value(a, env), fn _ -> raise(text) end) end)

  defp step("agent_slow", [a, ms, timeout, e], _, env) do
    next = value(e, env)

    work = fn _ ->
      Process.sleep(ms)
      next
    end

    quietly(env, fn -> Agent.update(value(a, env), work, timeout) end)
  end

  # -- registries
  defp step("start_registry", [keys], _, env) do
    case Registry.start_link(keys: keys, name: registry(keys)) do
      {:ok, _} -> log(:started, env)
      other -> log(other, env)
    end
  end

  defp step("register_key", [keys, k, v], _, env) do
    case Registry.register(registry(keys), value(k, env), value(v, env)) do
      {:ok, _} -> log({:registered, :ok}, env)
      other -> log({:registered, other}, env)
    end
  end

  defp step("unregister_key", [keys, k], _, env),
    do: quietly(env, fn -> Registry.unregister(registry(keys), value(k, env)) end)

  defp step("lookup", [keys, k], _, env) do
    entries = Registry.lookup(registry(keys), value(k, env))
    log({:entries, Enum.sort_by(entries, fn {pid, _} -> name_in_log(pid) end)}, env)
  end

  defp step("keys_of", [keys, p], _, env),
    do: log({:keys, Enum.sort(Registry.keys(registry(keys), value(p, env)))}, env)

  defp step("count_keys", [keys], _, env), do: log({:count, Registry.count(registry(keys))}, env)

  defp step("update_value", [keys, k, v], _, env) do
    next = value(v, env)
    log({:updated, Registry.update_value(registry(keys), value(k, env), fn _ -> next end)}, env)
  end

  defp step("dispatch", [keys, k, e], _, env) do
    message = value(e, env)

    quietly(env, fn ->
      Registry.dispatch(registry(keys), value(k, env), fn entries ->
        for {pid, _} <- entries, do: send(pid, message)
      end)
    end)
  end

  defp step("whereis_key", [k], _, env),
    do: log({:whereis, GenServer.whereis({:via, Registry, {Scenario.Unique, value(k, env)}})}, env)

  # -- state machines
  defp step("data", [e], _, env), do: Map.put(env, :data, value(e, env))
  defp step("postpone", [], _, env), do: act(:postpone, env)
  defp step("insert", [e], _, env), do: act({:next_event, :internal, value(e, env)}, env)
  defp step("insert_cast", [e], _, env), do: act({:next_event, :cast, value(e, env)}, env)
  defp step("reply_now", [e], _, env), do: act({:reply, env.from, value(e, env)}, env)
  defp step("state_timeout", [ms, e], _, env), do: act({:state_timeout, ms, value(e, env)}, env)
  defp step("event_timeout", [ms, e], _, env), do: act({:timeout, ms, value(e, env)}, env)
  defp step("named_timeout", [name, ms, e], _, env), do: act({{:timeout, name}, ms, value(e, env)}, env)
  defp step("cancel_state_timeout", [], _, env), do: act({:state_timeout, :cancel}, env)
  defp step("cancel_named_timeout", [name], _, env), do: act({{:timeout, name}, :cancel}, env)
  defp step("update_state_timeout", [e], _, env), do: act({:state_timeout, :update, value(e, env)}, env)

  defp step("machine_call", [m, e | timeout], _, env),
    do: log({:reply, :gen_statem.call(value(m, env), value(e, env), List.first(timeout) || :infinity)}, env)

  defp step("machine_cast", [m, e], _, env),
    do: quietly(env, fn -> :gen_statem.cast(value(m, env), value(e, env)) end)

  # -- what a callback returns
  defp step("next", [e], _, env), do: {:result, {:next, value(e, env)}, env}
  defp step("keep", [], _, env), do: {:result, :keep, env}
  defp step("repeat", [], _, env), do: {:result, :repeat, env}
  defp step("return", [e], _, env), do: {:result, value(e, env), env}

  defp step("ok", [e | options], _, env),
    do: {:result, {:ok, options(options, env)}, Map.put(env, :state, value(e, env))}

  defp step("ignore", [], _, env), do: {:result, :ignore, env}
  defp step("reply", [e | options], _, env), do: {:result, {:reply, value(e, env), options(options, env)}, env}
  defp step("noreply", options, _, env), do: {:result, {:noreply, options(options, env)}, env}
  defp step("stop", [e], _, env), do: {:result, {:stop, value(e, env)}, env}
  defp step("stop", [e, {:reply, r}], _, env), do: {:result, {:stop, value(e, env), value(r, env)}, env}

  defp step(word, args, line, env) do
    Enum.find_value([Tables, Reports, Partitions, Applications], & &1.step(word, args, env)) || unknown(word, args, line)
  end

  defp unknown(word, args, line) do
    IO.puts(:stderr, "line #{line.at}: nobody knows how to #{word} #{Macro.to_string(args)}")
    System.halt(2)
  end

  defp options([], _), do: nil
  defp options([{:timeout, ms}], _), do: ms
  defp options([{:hibernate, true}], _), do: :hibernate
  defp options([{:continue, e}], env), do: {:continue, value(e, env)}

  defp log(term, env) do
    Log.write(term)
    env
  end

  defp nested(line, env) do
    case run(line.body, env) do
      {env, nil} -> env
      {env, result} -> {:result, result, env}
    end
  end

  defp act(action, env), do: Map.update(env, :actions, [action], &(&1 ++ [action]))

  defp registry(:unique), do: Scenario.Unique
  defp registry(:duplicate), do: Scenario.Duplicate

  defp quietly(env, action) do
    action.()
    env
  end

  defp spawned(n, spawner, env) do
    name = name_of(n)
    pid = spawner.(fn -> Start.body(name) end)
    Log.watch(name, pid)
    env
  end

  defp named?(pid), do: :ets.match(:names, {:"$1", pid}) != []
  defp name_in_log(pid), do: :ets.match(:names, {:"$1", pid})

  # A receive with the pattern in it, so that the emulator does the selecting.
  defp selective(pattern, timeout, env) do
    clause = {:->, [], [[{:=, [], [Values.pinned(pattern, env), {:message, [], nil}]}], {:message, [], nil}]}
    code = {:receive, [], [[do: [clause], after: [{:->, [], [[timeout], :timed_out]}]]]}
    {message, _} = Code.eval_quoted(code, Values.pins(pattern, env))

    case message do
      :timed_out -> log(:timeout, env)
      _ -> log({:got, message}, match(pattern, message, env))
    end
  end

  defp flush(line, env) do
    receive do
      message -> flush(line, log({:got, message}, env))
    after
      0 -> env
    end
  end
end
