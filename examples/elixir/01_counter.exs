#!/usr/bin/env elixir
# SPDX-License-Identifier: Apache-2.0
#
# The twin of ../01_counter.cpp.
defmodule Counter do
  use GenServer

  # Client
  def start_link(initial), do: GenServer.start_link(__MODULE__, initial, name: __MODULE__)
  def increment, do: GenServer.cast(__MODULE__, :increment)
  def get_value, do: GenServer.call(__MODULE__, :get_value)

  # Server
  @impl true
  def init(initial), do: {:ok, initial}

  @impl true
  def handle_cast(:increment, value), do: {:noreply, value + 1}

  @impl true
  def handle_call(:get_value, _from, value), do: {:reply, value, value}
end

{:ok, _} = Counter.start_link(0)
Counter.increment()
IO.puts(Counter.get_value())
