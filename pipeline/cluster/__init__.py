"""The Dask cluster that runs the tasks of a command: its settings, its start, its tasks, and what the machine allows."""
