#!/usr/bin/env elixir
# SPDX-License-Identifier: Apache-2.0
defmodule Service do
  defmacro __using__(_) do
    quote do
      use GenServer
      def start_link(arg), do: GenServer.start_link(__MODULE__, arg)

      def init(arg) do
        Process.flag(:trap_exit, true)
        {:ok, arg}
      end

      def terminate(_reason, _state), do: IO.puts("#{inspect(__MODULE__)} stops")
    end
  end
end

defmodule Counter, do: use(Service)
defmodule UserCache, do: use(Service)
defmodule Database, do: use(Service)
defmodule Cache, do: use(Service)
defmodule ConfigLoader, do: use(Service)
defmodule DatabasePool, do: use(Service)
defmodule WebServer, do: use(Service)

defmodule MyApp.CriticalSupervisor do
  use Supervisor
  def start_link(_), do: Supervisor.start_link(__MODULE__, [], name: __MODULE__)
  def init(_), do: Supervisor.init([Database, Cache], strategy: :one_for_all)
end

defmodule MyApp.OrderedSupervisor do
  use Supervisor
  def start_link(_), do: Supervisor.start_link(__MODULE__, [], name: __MODULE__)
  def init(_), do: Supervisor.init([ConfigLoader, DatabasePool, WebServer], strategy: :rest_for_one)
end

defmodule MyApp do
  use Application

  def start(_type, _args) do
    children = [
      {Counter, 0},
      UserCache,
      MyApp.CriticalSupervisor,
      MyApp.OrderedSupervisor,
      {Task, &show_and_stop/0}
    ]

    Supervisor.start_link(children, strategy: :one_for_one, name: MyApp.Supervisor)
  end

  def stop(_state), do: IO.puts("MyApp has stopped")

  defp show_and_stop do
    for name <- [MyApp.Supervisor, MyApp.CriticalSupervisor, MyApp.OrderedSupervisor] do
      counts = Supervisor.count_children(name)
      IO.puts("#{inspect(name)}: #{counts.workers} workers, #{counts.supervisors} supervisors")
    end

    System.stop()
  end
end

:ok = :application.load({:application, :my_app, applications: [:kernel, :stdlib, :elixir], mod: {MyApp, []}})
:ok = Application.start(:my_app)
Process.sleep(:infinity)
