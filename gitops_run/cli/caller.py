"""Who calls the rooms below: this process's environment, its folder and its terminal."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from gitops_run.api.caller import Caller, silent_stream
from gitops_run.cli.output import is_confirmed, note
from gitops_run.cli.signals import unfinished
from gitops_run.model.stack.events import ResourceStep, StackEvent
from gitops_run.model.state.envelope import EventStream


def this_caller(events: EventStream | None = None, *, is_prune_allowed: bool = False) -> Caller:
    """Describe the person at this terminal.

    events: None where none are printed: one JSON document is the result, or the command has none.
    is_prune_allowed: they have allowed it with a flag already.
    """

    async def confirm(question: str) -> bool:
        if is_prune_allowed:
            return True
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            return False
        return await is_confirmed(question)

    return Caller(
        environment=os.environ,
        here=Path.cwd(),
        events=events or silent_stream(),
        report=note,
        tell=tell_step,
        confirm=confirm,
        unfinished=unfinished,
    )


def tell_step(event: StackEvent) -> None:
    """Report a resource that was created, changed or removed."""
    if not isinstance(event, ResourceStep):
        note(event.text)
    elif event.phase == "done" and event.operation != "same":
        name = event.resource.removeprefix(f"{event.kind.lower()}-")
        note(f"{event.operation} {event.kind} {name}")
