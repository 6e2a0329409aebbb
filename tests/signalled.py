"""A command that sends itself a signal at one step: SIGKILL ends it there, SIGSTOP stops it.

`python -m tests.signalled SIGNAL STEP WHEN COMMAND…` runs the real command line, and sends the signal before
or after the first call of a step: of the save protocol, of up and down, or of gc.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from gitops_run.adapters.cluster import control
from gitops_run.adapters.cluster.flux import WatchedFlux
from gitops_run.adapters.cluster.record import RecordMaps
from gitops_run.adapters.cluster.remains import SessionCluster
from gitops_run.adapters.pulumi.stacks import Stacks
from gitops_run.adapters.store.objects import BucketStore
from gitops_run.cli.app import main

STEPS: dict[str, Any] = {
    "fence": WatchedFlux,
    "put_many": BucketStore,
    "delete": BucketStore,
    "list": BucketStore,
    "release": WatchedFlux,
    "request_fetch": WatchedFlux,
    "facts": SessionCluster,
    "up": Stacks,
    "destroy": Stacks,
    "forget": Stacks,
    "remains": SessionCluster,
    "leave_word": SessionCluster,
    "drain": SessionCluster,
    "remove": SessionCluster,
    "suspend": control,
    "write_record": RecordMaps,
}


def signalling(
    step: Callable[..., Awaitable[Any]], when: str, number: signal.Signals
) -> Callable[..., Awaitable[Any]]:
    has_sent = False

    def send() -> None:
        nonlocal has_sent
        if not has_sent:
            has_sent = True
            os.kill(os.getpid(), number)

    async def call(*arguments: Any, **named: Any) -> Any:
        if when == "before":
            send()
        result = await step(*arguments, **named)
        send()
        return result

    return call


if __name__ == "__main__":
    sent, name, moment, *sys.argv[1:] = sys.argv[1:]
    owner = STEPS[name]
    setattr(owner, name, signalling(getattr(owner, name), moment, signal.Signals[sent]))
    main()
