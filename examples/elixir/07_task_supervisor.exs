#!/usr/bin/env elixir
# SPDX-License-Identifier: Apache-2.0
#
# The twin of ../07_task_supervisor.cpp.
defmodule Work do
  def expensive_operation, do: 6 * 7
  def risky(true), do: raise("out of luck")
  def risky(false), do: "lucky"
end

Logger.configure(level: :none)
children = [{Task.Supervisor, name: MyApp.TaskSupervisor}]
{:ok, _} = Supervisor.start_link(children, strategy: :one_for_one)

task = Task.Supervisor.async(MyApp.TaskSupervisor, &Work.expensive_operation/0)
IO.puts("the result: #{Task.await(task)}")

for fail <- [false, true] do
  loose = Task.Supervisor.async_nolink(MyApp.TaskSupervisor, Work, :risky, [fail])

  case Task.yield(loose, 1000) do
    nil -> IO.puts("too slow")
    {:ok, text} -> IO.puts("it was #{text}")
    {:exit, {error, _stack}} -> IO.puts("it crashed: #{Exception.message(error)}")
  end
end

me = self()
{:ok, _} = Task.Supervisor.start_child(MyApp.TaskSupervisor, fn -> send(me, "done") end)

receive do
  text -> IO.puts("on its own: #{text}")
end
