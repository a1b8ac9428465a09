# SPDX-License-Identifier: Apache-2.0
#
# Applications: one, two and three, each with a module of its own.

defmodule Played do
  defmacro __using__(_) do
    quote do
      use Application
      def start(_, _), do: Played.start(Played.name(__MODULE__))
      def prep_stop(state), do: Played.play(Played.name(__MODULE__), "prep_stop", state)
      def stop(state), do: Played.play(Played.name(__MODULE__), "stop", state)
    end
  end

  def name(module), do: module |> Module.split() |> List.last() |> String.downcase() |> String.to_atom()

  def start(name) do
    lines = Enum.find_value(Start.blocks()[name].body, [], &if(&1.word == "start", do: &1.body))

    case Play.run(lines, %{}) do
      {_, {:stop, reason}} ->
        {:error, reason}

      _ ->
        [{:tree, tree} | _] = for {:tree, {tree, _, _}} <- tl(Start.blocks()[name].args), do: {:tree, tree}
        Start.start_link(tree)
    end
  end

  def play(name, moment, state) do
    for line <- Start.blocks()[name].body, line.word == moment, do: Play.run(line.body, %{})
    state
  end
end

defmodule One, do: use(Played)
defmodule Two, do: use(Played)
defmodule Three, do: use(Played)

defmodule Applications do
  import Values
  @modules %{one: One, two: Two, three: Three}
  @ours Map.keys(@modules)

  # There are no files of applications to load by name: what is loaded is the specification, and an error shows all of it.
  def step("load_application", [a], env) do
    case :application.load(specification(a)) do
      {:error, {:already_loaded, {:application, ^a, _}}} -> tell(:load, {:error, {:already_loaded, a}}, env)
      other -> tell(:load, other, env)
    end
  end

  def step("unload_application", [a], env), do: tell(:unload, :application.unload(a), env)

  def step("start_application", [a | type], env),
    do: tell(:start, :application.start(a, List.first(type) || :temporary), env)

  def step("ensure_started", [a | type], env),
    do: tell(:ensure_started, :application.ensure_started(a, List.first(type) || :temporary), env)

  def step("ensure_all_started", [a], env), do: tell(:ensure_all_started, :application.ensure_all_started(a), env)
  def step("stop_application", [a], env), do: tell(:stop, :application.stop(a), env)

  def step("started_applications", [], env),
    do: tell(:started_applications, for({a, _, _} <- :application.which_applications(), a in @ours, do: a), env)

  def step("loaded_applications", [], env) do
    loaded = for {a, _, _} <- :application.loaded_applications(), a in @ours, do: a
    tell(:loaded_applications, Enum.sort(loaded), env)
  end

  def step("get_env", [a, key], env), do: tell(:env, Application.get_env(a, key), env)

  def step("put_env", [a, key, e], env) do
    Application.put_env(a, key, value(e, env))
    env
  end

  def step("application_of", [p], env) do
    case :application.get_application(value(p, env)) do
      {:ok, a} -> tell(:application, a, env)
      :undefined -> tell(:application, nil, env)
    end
  end

  def step(_, _, _), do: nil

  def finish do
    for a <- @ours do
      :application.stop(a)
      :application.unload(a)
    end
  end

  defp specification(a) do
    options = if Start.blocks()[a], do: Start.options(Start.blocks()[a], [:applications, :env]), else: []

    {:application, a,
     [
       description: '',
       vsn: '',
       modules: [@modules[a]],
       registered: [],
       applications: options[:applications] || [],
       env: options[:env] || [],
       mod: {@modules[a], []}
     ]}
  end

  defp tell(what, value, env) do
    Log.write({what, value})
    env
  end
end
