"""A sync that kills itself, as SIGKILL does, at one step of a save.

`python -m tests.killed STEP WHEN COMMAND…` runs the real command line, and ends the process before or after
the first call of a step of the save protocol.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

from gitops_run.adapters.bucket import BucketStore
from gitops_run.adapters.cluster.flux import WatchedFlux
from gitops_run.cli.app import main

STEPS: dict[str, type] = {
    "fence": WatchedFlux,
    "put_many": BucketStore,
    "delete": BucketStore,
    "list": BucketStore,
    "release": WatchedFlux,
    "request_fetch": WatchedFlux,
}


def die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("a SIGKILL was survived")


def deadly(step: Callable[..., Awaitable[Any]], when: str) -> Callable[..., Awaitable[Any]]:
    async def call(*arguments: Any, **named: Any) -> NoReturn:
        if when == "after":
            await step(*arguments, **named)
        die()

    return call


if __name__ == "__main__":
    name, moment, *sys.argv[1:] = sys.argv[1:]
    owner = STEPS[name]
    setattr(owner, name, deadly(getattr(owner, name), moment))
    main()
