#!/usr/bin/env elixir
# SPDX-License-Identifier: Apache-2.0
#
# The twin of ../09_registry.cpp.
defmodule UserSession do
  use GenServer

  def start_link(user), do: GenServer.start_link(__MODULE__, user, name: via(user))
  def via(user), do: {:via, Registry, {MyApp.Sessions, user}}
  def read(user), do: GenServer.call(via(user), :read)

  def deliver(user, text) do
    case Registry.lookup(MyApp.Sessions, user) do
      [{pid, _}] -> GenServer.cast(pid, {:posted, text})
      [] -> {:error, :not_found}
    end
  end

  @impl true
  def init(user) do
    {:ok, _} = Registry.register(MyApp.Rooms, "lobby", nil)
    {:ok, %{user: user, messages: []}}
  end

  @impl true
  def handle_cast({:posted, text}, state), do: {:noreply, update_in(state.messages, &[text | &1])}

  @impl true
  def handle_info({:posted, text}, state), do: {:noreply, update_in(state.messages, &[text | &1])}

  @impl true
  def handle_call(:read, _from, state), do: {:reply, Enum.reverse(state.messages), state}
end

children = [
  {Registry, keys: :unique, name: MyApp.Sessions},
  {Registry, keys: :duplicate, name: MyApp.Rooms},
  Supervisor.child_spec({UserSession, "ann"}, id: "ann"),
  Supervisor.child_spec({UserSession, "bob"}, id: "bob")
]

{:ok, tree} = Supervisor.start_link(children, strategy: :one_for_one)

if UserSession.deliver("ann", "hello, Ann") == :ok, do: IO.puts("ann found")
{:error, reason} = UserSession.deliver("eve", "hello, Eve")
IO.puts("eve #{inspect(reason)}")

Registry.dispatch(MyApp.Rooms, "lobby", fn entries ->
  for {pid, _} <- entries, do: send(pid, {:posted, "hello"})
end)

for user <- ["ann", "bob"], text <- UserSession.read(user), do: IO.puts("#{user}: #{text}")

Process.flag(:trap_exit, true)
{:error, {:already_started, _}} = UserSession.start_link("ann")
IO.puts("a second ann: refused")
IO.puts("in the lobby: #{length(Registry.lookup(MyApp.Rooms, "lobby"))}")
:ok = Supervisor.terminate_child(tree, "bob")
# Elixir's registry hears of the end of bob by a message, which may come later than his supervisor's.
lobby = fn -> length(Registry.lookup(MyApp.Rooms, "lobby")) end
IO.puts("in the lobby without bob: #{Enum.find(Stream.repeatedly(lobby), &(&1 < 2))}")
Supervisor.stop(tree)
