#!/usr/bin/env elixir
# SPDX-License-Identifier: Apache-2.0
#
# The twin of ../04_dynamic_supervisor.cpp.
Logger.configure(level: :warning)

defmodule TaskRunner do
  use GenServer
  require Logger

  def start_link(id), do: GenServer.start_link(__MODULE__, id)

  @impl true
  def init(id) do
    Process.send_after(self(), :run_task, 0)
    {:ok, %{id: id, done: false, waiting: nil}}
  end

  @impl true
  def handle_info(:run_task, state) do
    Logger.info("Running task #{state.id}")
    if state.waiting, do: GenServer.reply(state.waiting, state.id)
    {:noreply, %{state | done: true, waiting: nil}}
  end

  @impl true
  def handle_call(:await, _from, %{done: true} = state), do: {:reply, state.id, state}
  def handle_call(:await, from, state), do: {:noreply, %{state | waiting: from}}
end

{:ok, _} = DynamicSupervisor.start_link(name: TaskSupervisor)
{:ok, first} = DynamicSupervisor.start_child(TaskSupervisor, {TaskRunner, 1})
{:ok, second} = DynamicSupervisor.start_child(TaskSupervisor, {TaskRunner, 2})

for pid <- [first, second] do
  IO.puts("task #{GenServer.call(pid, :await)} has run")
end

counts = fn ->
  all = DynamicSupervisor.count_children(TaskSupervisor)
  inspect(for key <- [:specs, :active, :supervisors, :workers], do: {key, all[key]})
end

IO.puts(counts.())

:ok = DynamicSupervisor.terminate_child(TaskSupervisor, first)
IO.puts("the first is alive: #{Process.alive?(first)}")

gone = Process.monitor(second)
Process.exit(second, :crash)

receive do
  {:DOWN, ^gone, :process, _, reason} -> IO.puts("the second ended: #{inspect(reason)}")
end

IO.puts("after its restart: #{counts.()}")
DynamicSupervisor.stop(TaskSupervisor)
