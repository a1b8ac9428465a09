#!/usr/bin/env elixir
# SPDX-License-Identifier: Apache-2.0
#
# The twin of ../05_agent.cpp.
{:ok, _} = Agent.start_link(fn -> 0 end, name: SimpleCounter)
Agent.update(SimpleCounter, &(&1 + 1))
IO.puts("the counter: #{Agent.get(SimpleCounter, & &1)}")
before = Agent.get_and_update(SimpleCounter, fn n -> {n, 0} end)
IO.puts("it was #{before} and is #{Agent.get(SimpleCounter, & &1)}")

{:ok, stock} = Agent.start_link(fn -> %{"apple" => 2, "pear" => 1} end)

take = fn what ->
  Agent.get_and_update(stock, fn all ->
    if all[what] > 0, do: {true, Map.update!(all, what, &(&1 - 1))}, else: {false, all}
  end)
end

IO.puts("took a pear: #{take.("pear")}")
IO.puts("took another one: #{take.("pear")}")
Agent.cast(stock, fn all -> Map.update!(all, "pear", &(&1 + 10)) end)
IO.puts("pears: #{Agent.get(stock, & &1["pear"])}")

Agent.stop(stock)

reason =
  try do
    Agent.get(stock, &map_size/1)
  catch
    :exit, {reason, _call} -> reason
  end

IO.puts("after its end: #{inspect(reason)}")
