#!/usr/bin/env elixir
# SPDX-License-Identifier: Apache-2.0
#
# The twin of ../06_task.cpp.
defmodule Fetch do
  def users do
    Process.sleep(100)
    "ann, bob"
  end

  def count_posts(user) do
    Process.sleep(200)
    String.length(user)
  end

  def fetch(url) do
    if url == "", do: raise("an empty address")
    Process.sleep(if url == "slow", do: 10_000, else: 5)
    "<#{url}>"
  end
end

start = System.monotonic_time(:millisecond)
users = Task.async(&Fetch.users/0)
posts = Task.async(Fetch, :count_posts, ["ann"])

comments =
  Task.async(fn ->
    Process.sleep(300)
    ["c1", "c2", "c3"]
  end)

[u, p, c] = Task.await_many([users, posts, comments], 5000)
IO.puts("#{u}; #{p} posts; #{length(c)} comments")
IO.puts("as long as the slowest: #{System.monotonic_time(:millisecond) - start < 550}")

slow = Task.async(Fetch, :fetch, ["slow"])
if Task.yield(slow, 5) == nil, do: IO.puts("not yet")
IO.puts("ended by us: #{Task.shutdown(slow) == nil}")

Process.flag(:trap_exit, true)
options = [max_concurrency: 4, timeout: 500, on_timeout: :kill_task]

for page <- Task.async_stream(["a", "b", "slow", "c"], &Fetch.fetch/1, options) do
  case page do
    {:ok, text} -> IO.puts("page #{text}")
    {:exit, reason} -> IO.puts("no page: #{inspect(reason)}")
  end
end
