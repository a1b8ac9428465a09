#!/usr/bin/env elixir
# SPDX-License-Identifier: Apache-2.0
#
# The twin of ../11_cache_server.cpp.
defmodule CacheServer do
  use GenServer

  def start_link(_ \\ nil), do: GenServer.start_link(__MODULE__, nil, name: __MODULE__)
  def put(key, value), do: GenServer.call(__MODULE__, {:put, key, value})

  def get(key) do
    case :ets.lookup(__MODULE__, key) do
      [{^key, value}] -> value
      [] -> nil
    end
  end

  @impl true
  def init(_), do: {:ok, :ets.new(__MODULE__, [:named_table, :set, :protected])}

  @impl true
  def handle_call({:put, key, value}, _from, cache) do
    :ets.insert(cache, {key, value})
    {:reply, :ok, cache}
  end
end

{:ok, server} = CacheServer.start_link()
CacheServer.put("user:1", "Ann")
CacheServer.put("user:2", "Bob")
IO.puts("user:1 #{CacheServer.get("user:1") || "nobody"}")
IO.puts("user:3 #{CacheServer.get("user:3") || "nobody"}")
IO.puts("size #{:ets.info(CacheServer, :size)}")

try do
  :ets.insert(CacheServer, {"user:3", "Eve"})
rescue
  # Erlang says no more than badarg; the text is what the C++ side adds to it.
  ArgumentError ->
    IO.puts("refused: #{inspect({:badarg, "ets: only the owner of the table may write to it"})}")
end

GenServer.stop(server)
IO.puts("table #{if :ets.info(CacheServer) == :undefined, do: "went with its owner", else: "is there"}")
