"""The main module of a process, which the processes of a command do not import.

A new process of `multiprocessing` imports the main module of its parent. A script that calls a command outside of
`if __name__ == "__main__":` would start the command again in every worker. The tasks of a command are functions of
modules, so its workers do not need the main module.
"""

from __future__ import annotations

import contextlib
import multiprocessing.process
import multiprocessing.spawn
import sys
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def leave_out() -> Iterator[None]:
    """Start processes in the body that do not import the main module of this process."""
    prepare = multiprocessing.spawn.get_preparation_data

    def prepare_without_main(name: str) -> dict[str, Any]:
        """Return what a new process needs, without the main module."""
        return {key: value for key, value in prepare(name).items() if not key.startswith("init_main_")}

    multiprocessing.spawn.get_preparation_data = prepare_without_main
    try:
        yield
    finally:
        multiprocessing.spawn.get_preparation_data = prepare


def require_imported_once(command: str) -> None:
    """End this process if it is being started by `multiprocessing` and imports a script that calls `command`.

    Raises:
        SystemExit: with status 2, after one line of explanation.
    """
    if getattr(multiprocessing.process.current_process(), "_inheriting", False):
        print(
            f"error: a new process imports the script, which calls {command} again; put the calls of the script below "
            'if __name__ == "__main__":',
            file=sys.stderr,
        )
        sys.exit(2)
