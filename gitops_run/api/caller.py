"""The caller of this package: its directory and environment, and its functions for reports and questions.

This room reads no environment, asks for no current directory and prints nothing: all of it comes from here.
Paths in requests are absolute; a relative one is taken as the operating system does.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from gitops_run.flows.leftovers import Tell
from gitops_run.flows.ports import Emit
from gitops_run.model.stack.events import StackEvent
from gitops_run.model.state.envelope import EventStream, Stamp

Confirm = Callable[[str], Awaitable[bool]]
"""Asks a question; True allows what was asked."""
Report = Callable[[str], None]
"""Takes a sentence about progress and returns at once."""
Unfinished = Callable[[str], AbstractContextManager[None]]
"""Opens a piece of work; the text says what is left where the process ends inside it."""


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def silent_stream(session: str = "") -> EventStream:
    """Make a stream that nobody sees here: others still read what is done in the cluster."""
    return EventStream(Stamp(session, _now))


def _say_nothing(_: StackEvent) -> None:
    pass


async def _refuse(_: str) -> bool:
    return False


def _no_terminal(_: str) -> AbstractContextManager[None]:
    return nullcontext()


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Hold what a caller brings.

    environment: their variables. here: their current directory. events: takes those of a sync, for whoever
    listens. `tell` takes what Pulumi does with each resource. A caller that leaves out how to ask refuses
    whatever would be asked.
    """

    environment: Mapping[str, str]
    here: Path
    report: Report
    events: EventStream = field(default_factory=silent_stream)
    tell: Tell = _say_nothing
    confirm: Confirm = _refuse
    unfinished: Unfinished = _no_terminal

    @property
    def emit(self) -> Emit:
        """Take one event of a sync."""
        return self.events.emit
