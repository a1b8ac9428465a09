# SPDX-License-Identifier: Apache-2.0
#
# Runs scenarios on the original: elixir scenario.exs FILE... prints for each scenario what its processes saw. README.md
# beside this file explains the language; the .cpp files are the same interpreter on coppice.

# They use each other.
Code.compiler_options(no_warn_undefined: :all)
for part <- ~w(language stage tables applications steps blocks), do: Code.require_file("original/#{part}.exs", __DIR__)

defmodule Main do
  def play(scenario) do
    blocks = for line <- scenario.body, into: %{}, do: {Start.block_name(line), line}
    :persistent_term.put(:blocks, blocks)
    {:ok, _} = Log.start()
    {_, ref} = spawn_monitor(fn -> Start.body(:main) end)

    receive do
      {:DOWN, ^ref, _, _, _} -> :ok
    after
      20_000 ->
        IO.puts(:stderr, "#{scenario.args}: main has not ended")
        System.halt(2)
    end

    Quiet.wait()
    {names, events} = Log.finish()
    show(scenario, names, events)
    Reports.finish()
    Applications.finish()
    for {pid, _} <- names, do: Process.exit(pid, :kill)
    Quiet.wait()
  end

  defp show(scenario, names, events) do
    IO.puts("scenario #{scenario.args}")

    for {pid, {_, _, shown}} <- Enum.sort_by(names, fn {_, {name, n, _}} -> {to_string(name), n} end) do
      IO.puts("  #{shown}")
      for {^pid, term} <- events, do: IO.puts("    #{Show.text(term, names)}")
    end
  end
end

Logger.configure(level: :none)
for %{id: id} <- :logger.get_handler_config(), do: :logger.remove_handler(id)
for file <- System.argv(), scenario <- Parser.scenarios(file), do: Main.play(scenario)
