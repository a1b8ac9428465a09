# SPDX-License-Identifier: Apache-2.0
#
# Who plays which block, what they have told, and when all are quiet.

defmodule Log do
  use GenServer
  def start, do: GenServer.start(__MODULE__, nil, name: __MODULE__)
  def watch(name), do: watch(name, self())
  def watch(name, pid), do: GenServer.call(__MODULE__, {:watch, name, pid})
  def write(term), do: GenServer.cast(__MODULE__, {:write, self(), term})
  def finish, do: GenServer.call(__MODULE__, :finish)

  def init(_) do
    :ets.new(:names, [:named_table, :public])
    {:ok, %{names: %{}, counts: %{}, events: []}}
  end

  def handle_call({:watch, name, pid}, _, s) do
    :ets.insert(:names, {name, pid})

    if Map.has_key?(s.names, pid) do
      {:reply, :ok, s}
    else
      Process.monitor(pid)
      n = Map.get(s.counts, name, 0) + 1
      shown = if n == 1, do: "#{name}", else: "#{name}##{n}"
      {:reply, :ok, %{s | names: Map.put(s.names, pid, {name, n, shown}), counts: Map.put(s.counts, name, n)}}
    end
  end

  def handle_call(:finish, _, s), do: {:stop, :normal, {s.names, Enum.reverse(s.events)}, s}
  def handle_cast({:write, pid, term}, s), do: {:noreply, %{s | events: [{pid, term} | s.events]}}
  def handle_info({:DOWN, _, _, pid, reason}, s), do: {:noreply, %{s | events: [{pid, {:ended, reason}} | s.events]}}
end

defmodule Quiet do
  # Until all others have been waiting, and have not moved, for three looks in a row.
  def wait(looks \\ 0, before \\ nil) do
    Process.sleep(2)
    seen = for pid <- Process.list(), pid != self(), info = Process.info(pid, [:status, :reductions]), do: {pid, info}
    still = Enum.all?(seen, fn {_, info} -> info[:status] in [:waiting, :suspended] end)

    cond do
      still and seen == before and looks >= 2 -> :ok
      still and seen == before -> wait(looks + 1, seen)
      true -> wait(0, seen)
    end
  end
end
