"""The caller of this package: its directory and environment, and its functions for reports and questions.

This room reads no environment, asks for no current directory and prints nothing: all of it comes from here.
Paths in requests are absolute; a relative one is taken as the operating system does.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from gitops_run.flows.leftovers import Tell
from gitops_run.flows.ports import Emit
from gitops_run.model.state.envelope import EventStream

Confirm = Callable[[str], Awaitable[bool]]
"""Asks a question; True allows what was asked."""
Report = Callable[[str], None]
"""Takes a sentence about progress and returns at once."""
Unfinished = Callable[[str], AbstractContextManager[None]]
"""Opens a piece of work; the text says what is left where the process ends inside it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Hold what a caller brings.

    environment: their variables. here: their current directory. events: takes those of a sync, for whoever
    listens. `tell` takes what Pulumi does with each resource.
    """

    environment: Mapping[str, str]
    here: Path
    events: EventStream
    report: Report
    tell: Tell
    confirm: Confirm
    unfinished: Unfinished

    @property
    def emit(self) -> Emit:
        """Take one event of a sync."""
        return self.events.emit
