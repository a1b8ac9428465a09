#!/usr/bin/env elixir
# SPDX-License-Identifier: Apache-2.0
#
# The twin of ../08_session_manager.cpp.
defmodule SessionManager do
  use GenServer
  require Logger

  @idle_limit 200

  def start(id), do: GenServer.start(__MODULE__, id)
  def refresh(session), do: GenServer.cast(session, :refresh)

  @impl true
  def init(id), do: {:ok, id, @idle_limit}

  @impl true
  def handle_cast(:refresh, id), do: {:noreply, id, @idle_limit}

  @impl true
  def handle_info(:timeout, id) do
    Logger.info("Session #{id} timed out")
    {:stop, :normal, id}
  end
end

Logger.configure(level: :notice)
{:ok, session} = SessionManager.start("ann")
Process.monitor(session)
for _ <- 1..3, do: SessionManager.refresh(session)
IO.puts("the session is alive: #{Process.alive?(session)}")

receive do
  {:DOWN, _, :process, _, reason} -> IO.puts("the session has ended: #{inspect(reason)}")
end

IO.puts("the session is alive: #{Process.alive?(session)}")
