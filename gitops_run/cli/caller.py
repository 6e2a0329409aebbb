"""Who calls the rooms below: this process's environment, its folder and its terminal."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from gitops_run.api.caller import Caller
from gitops_run.cli.output import is_confirmed, note
from gitops_run.cli.signals import unfinished
from gitops_run.flows.ports import Emit
from gitops_run.model.events import Event
from gitops_run.model.stack_events import ResourceStep, StackEvent


def say_nothing(event: Event) -> None:
    """Drop an event: one JSON document is the result, or the command has none."""


def this_caller(emit: Emit = say_nothing, *, is_prune_allowed: bool = False) -> Caller:
    """Describe the person at this terminal. is_prune_allowed: they have allowed it with a flag already."""

    async def confirm(question: str) -> bool:
        if is_prune_allowed:
            return True
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            return False
        return await is_confirmed(question)

    return Caller(
        environment=os.environ,
        here=Path.cwd(),
        emit=emit,
        report=note,
        tell=tell_step,
        confirm=confirm,
        unfinished=unfinished,
    )


def tell_step(event: StackEvent) -> None:
    """Tell a resource that was made, changed or removed."""
    if not isinstance(event, ResourceStep):
        note(event.text)
    elif event.phase == "done" and event.operation != "same":
        name = event.resource.removeprefix(f"{event.kind.lower()}-")
        note(f"{event.operation} {event.kind} {name}")
