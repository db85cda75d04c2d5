"""The Dask cluster that runs the tasks of a command: settings, start, tasks, and the limits of the machine."""
