#!/usr/bin/env elixir
# SPDX-License-Identifier: Apache-2.0
#
# The twin of ../10_file_watcher.cpp.
defmodule FileWatcher do
  use GenServer

  @interval 20

  def start(path, reader), do: GenServer.start(__MODULE__, {path, reader})
  def start_link(path, reader), do: GenServer.start_link(__MODULE__, {path, reader})

  @impl true
  def init({path, reader}) do
    Process.flag(:trap_exit, true)

    case File.open(path, [:read]) do
      {:ok, file} ->
        Process.send_after(self(), :check, @interval)
        {:ok, %{file: file, reader: reader, begin: ""}}

      {:error, reason} ->
        {:stop, reason}
    end
  end

  @impl true
  def handle_info(:check, state) do
    state = read_new_lines(state)
    Process.send_after(self(), :check, @interval)
    {:noreply, state}
  end

  @impl true
  def terminate(reason, state) do
    File.close(state.file)
    IO.puts("the watcher has closed its file: #{inspect(reason)}")
  end

  defp read_new_lines(state) do
    case IO.read(state.file, :line) do
      :eof ->
        state

      text ->
        line = state.begin <> text

        if String.ends_with?(line, "\n") do
          send(state.reader, {:new_line, String.trim_trailing(line, "\n")})
          read_new_lines(%{state | begin: ""})
        else
          read_new_lines(%{state | begin: line})
        end
    end
  end
end

defmodule Main do
  def show_next_line do
    receive do
      {:new_line, text} -> IO.puts("new line: #{text}")
    end
  end
end

Logger.configure(level: :none)
path = Path.join(System.tmp_dir!(), "coppice_twin_10_#{System.pid()}")
{:error, reason} = FileWatcher.start(path, self())
IO.puts("without a file: #{inspect(reason)}")

file = File.open!(path, [:write])
{:ok, watcher} = FileWatcher.start_link(path, self())
IO.write(file, "one\ntwo\nthr")
Main.show_next_line()
Main.show_next_line()
IO.write(file, "ee\n")
Main.show_next_line()

# What a supervisor does to stop a child: it asks, and waits until the child is gone.
gone = Process.monitor(watcher)
Process.unlink(watcher)
# Only its parent's exit ends a server that traps exits, and this process is its parent.
Process.exit(watcher, :shutdown)

receive do
  {:DOWN, ^gone, :process, _, reason} -> IO.puts("the watcher is gone: #{inspect(reason)}")
end

File.rm!(path)
