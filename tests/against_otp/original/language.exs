# SPDX-License-Identifier: Apache-2.0
#
# What a scenario says: lines, expressions, patterns. And how terms are shown.

defmodule Parser do
  # A line: a word, expressions, and the lines indented below it.
  defmodule Line do
    defstruct word: nil, args: [], body: [], at: 0
  end

  def scenarios(file) do
    lines =
      File.read!(file)
      |> String.split("\n")
      |> Enum.with_index(1)
      |> Enum.map(fn {text, at} -> {String.trim_trailing(text), at} end)
      |> Enum.reject(fn {text, _} -> String.trim(text) == "" or String.starts_with?(String.trim(text), "#") end)

    {tree, []} = block(lines, 0)
    tree
  end

  defp block([], _), do: {[], []}

  defp block([{text, at} | rest] = lines, depth) do
    indent = div(String.length(text) - String.length(String.trim_leading(text)), 2)

    if indent < depth do
      {[], lines}
    else
      [word | args] = String.split(String.trim(text), " ", parts: 2)
      {body, rest} = block(rest, depth + 1)
      {others, rest} = block(rest, depth)
      {[%Line{word: word, args: args(word, args), body: body, at: at} | others], rest}
    end
  end

  defp args("scenario", [text]), do: text
  defp args(_, []), do: []

  defp args(_, [text]) do
    Code.string_to_quoted!("[" <> text <> "]") |> flatten_keywords()
  end

  # [a, b: 1] is [a, {:b, 1}] already.
  defp flatten_keywords(list), do: list
end

defmodule Values do
  # Expressions and patterns are quoted Elixir: variables, tuples, lists, literals.
  def value({name, _, context}, env) when is_atom(name) and is_atom(context), do: variable(name, env)
  def value({:{}, _, elements}, env), do: elements |> Enum.map(&value(&1, env)) |> List.to_tuple()
  def value({:-, _, [n]}, _), do: -n
  def value({a, b}, env), do: {value(a, env), value(b, env)}
  def value(list, env) when is_list(list), do: Enum.map(list, &value(&1, env))
  def value(literal, _), do: literal

  defp variable(:self, _), do: self()

  defp variable(name, env) do
    case env do
      %{^name => found} -> found
      _ -> :ets.lookup_element(:names, name, 2)
    end
  end

  # The environment with what the pattern binds, or nil.
  def match(_, _, nil), do: nil
  def match({:_, _, context}, _, env) when is_atom(context), do: env

  def match({name, _, context}, term, env) when is_atom(name) and is_atom(context) do
    cond do
      name == :self -> if term == self(), do: env
      Map.has_key?(env, name) -> if env[name] === term, do: env
      match?([{_, ^term}], :ets.lookup(:names, name)) -> env
      :ets.member(:names, name) -> nil
      true -> Map.put(env, name, term)
    end
  end

  def match({:{}, _, elements}, term, env) when is_tuple(term) and tuple_size(term) == length(elements),
    do: match_all(elements, Tuple.to_list(term), env)

  def match({a, b}, {x, y}, env), do: match(b, y, match(a, x, env))

  def match(list, terms, env) when is_list(list) and is_list(terms) and length(list) == length(terms),
    do: match_all(list, terms, env)

  def match({:-, _, [n]}, term, env), do: if(term === -n, do: env)
  def match(literal, term, env) when not is_tuple(literal) and not is_list(literal), do: if(literal === term, do: env)
  def match(_, _, _), do: nil

  # The pattern for the compiler: what is bound is pinned, what it would bind matches anything. And the pins' values.
  def pinned({name, _, context}, env) when is_atom(name) and is_atom(context),
    do: if(bound?(name, env), do: {:^, [], [{name, [], nil}]}, else: {:_, [], nil})

  def pinned({:{}, meta, elements}, env), do: {:{}, meta, Enum.map(elements, &pinned(&1, env))}
  def pinned({:-, _, _} = number, _), do: number
  def pinned({a, b}, env), do: {pinned(a, env), pinned(b, env)}
  def pinned(list, env) when is_list(list), do: Enum.map(list, &pinned(&1, env))
  def pinned(literal, _), do: literal

  def pins({name, _, context} = v, env) when is_atom(name) and is_atom(context),
    do: if(bound?(name, env), do: [{name, value(v, env)}], else: [])

  def pins({:{}, _, elements}, env), do: Enum.flat_map(elements, &pins(&1, env))
  def pins({a, b}, env), do: pins(a, env) ++ pins(b, env)
  def pins(list, env) when is_list(list), do: Enum.flat_map(list, &pins(&1, env))
  def pins(_, _), do: []

  defp bound?(:_, _), do: false
  defp bound?(name, env), do: name == :self or Map.has_key?(env, name) or :ets.member(:names, name)

  defp match_all(patterns, terms, env),
    do: Enum.zip(patterns, terms) |> Enum.reduce(env, fn {p, t}, e -> match(p, t, e) end)
end

defmodule Show do
  # Terms as both sides print them: processes by name, references and stacks without their contents.
  def text(term, names), do: clean(term, names) |> inspect(limit: :infinity) |> unquote_marks()

  defp unquote_marks(text), do: Regex.replace(~r/:"<([^>]*)>"/, text, "<\\1>")

  defp clean(pid, names) when is_pid(pid) do
    case names[pid] do
      {_, _, shown} -> :"<#{shown}>"
      nil -> :"<pid>"
    end
  end

  defp clean(ref, _) when is_reference(ref), do: :"<ref>"
  defp clean(fun, _) when is_function(fun), do: :"<fun>"

  defp clean([{m, f, a, l} | _], _) when is_atom(m) and is_atom(f) and is_list(l) and (is_integer(a) or is_list(a)),
    do: :"<stack>"

  defp clean({module, f, args}, _) when module in [GenServer, Task, :gen_statem] and is_list(args), do: {module, f}
  defp clean(record, _) when tuple_size(record) == 9 and elem(record, 0) == :child, do: :"<child>"
  defp clean({name, node}, _) when is_atom(name) and node == node(), do: {name, :"<node>"}

  defp clean(tuple, names) when is_tuple(tuple),
    do: tuple |> Tuple.to_list() |> Enum.map(&clean(&1, names)) |> List.to_tuple()

  defp clean([head | tail], names), do: [clean(head, names) | clean(tail, names)]
  defp clean(other, _), do: other
end
