"""The workflows: each is a list of steps, and the work of one command of `dags`."""
