#!/usr/bin/env elixir
# SPDX-License-Identifier: Apache-2.0
#
# The twin of ../02_user_cache.cpp.
defmodule UserCache do
  use GenServer

  def start_link(_ \\ []), do: GenServer.start_link(__MODULE__, [], name: __MODULE__)
  def put(id, user), do: GenServer.cast(__MODULE__, {:put, id, user})
  def delete(id), do: GenServer.cast(__MODULE__, {:delete, id})
  def get(id), do: GenServer.call(__MODULE__, {:get, id})
  def all, do: GenServer.call(__MODULE__, :all)

  @impl true
  def init(_), do: {:ok, %{}}

  @impl true
  def handle_cast({:put, id, user}, users), do: {:noreply, Map.put(users, id, user)}
  def handle_cast({:delete, id}, users), do: {:noreply, Map.delete(users, id)}

  @impl true
  def handle_call({:get, id}, _from, users), do: {:reply, Map.get(users, id), users}
  def handle_call(:all, _from, users), do: {:reply, users, users}
end

{:ok, _} = UserCache.start_link()
UserCache.put("1", {:user, "ann", 41})
UserCache.put("2", {:user, "bob", 27})
UserCache.put("3", {:user, "cem", 35})
UserCache.put("2", {:user, "bob", 28})
UserCache.delete("3")

IO.puts("user 2: #{inspect(UserCache.get("2"))}")
IO.puts("user 3: #{inspect(UserCache.get("3"))}")

for {id, {:user, name, age}} <- UserCache.all() do
  IO.puts("#{id}: #{name}, #{age} years old")
end
