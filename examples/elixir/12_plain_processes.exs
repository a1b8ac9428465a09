#!/usr/bin/env elixir
# SPDX-License-Identifier: Apache-2.0
#
# The twin of ../12_plain_processes.cpp.
defmodule Echo do
  require Logger

  def loop do
    receive do
      {:ping, from} ->
        send(from, :pong)

      {:watch, pid, from} ->
        Process.monitor(pid)
        send(from, :watching)

      {:DOWN, _, :process, pid, reason} when reason != :normal ->
        Logger.warning("#{inspect(pid)} is gone: #{inspect(reason)}")
    after
      30_000 -> exit(:normal)
    end

    loop()
  end
end

Logger.configure(level: :none)
echo = spawn_link(&Echo.loop/0)

send(self(), {:note, 1})
send(self(), {:note, 2})
send(echo, {:ping, self()})

pong =
  receive do
    :pong -> "came"
  after
    1000 -> "did not come"
  end

IO.puts("pong: #{pong}")

for _ <- 1..2 do
  receive do
    {:note, number} -> IO.puts("note: #{number}")
  end
end

worker =
  spawn(fn ->
    receive do
      :go -> exit({:out_of, :paper})
    end
  end)

send(echo, {:watch, worker, self()})

receive do
  :watching -> :ok
end

Process.monitor(worker)
send(worker, :go)

receive do
  {:DOWN, _, :process, pid, reason} ->
    IO.puts("#{if pid == worker, do: "the worker", else: "another"} is gone: #{inspect(reason)}")
end

Process.flag(:trap_exit, true)
Process.exit(echo, :shutdown)

receive do
  {:EXIT, pid, reason} ->
    IO.puts("linked process ended: #{if pid == echo, do: "echo", else: "another"}, #{inspect(reason)}")
end
