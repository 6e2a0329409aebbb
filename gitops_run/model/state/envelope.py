"""An event with its place in a stream: stamped once, and the only form in which it leaves the process.

JSON goes both ways. A reader takes what it knows: fields that it doesn't know are left out, and an event of a
type that it doesn't know is none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, get_args

import msgspec

from gitops_run.model.state.events import Event, type_name

SCHEMA_VERSION: Final = 1
_TYPES: Final = {type_name(kind): kind for kind in get_args(Event)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """One event of a session. seq: from 1, without a gap in its stream. ts: when it was stamped, RFC 3339."""

    seq: int
    ts: str
    session: str
    event: Event


class Stamp:
    """Put the events of one session's stream into envelopes, in order."""

    def __init__(self, session: str, now: Callable[[], str]) -> None:
        """now: returns the time as RFC 3339."""
        self._session = session
        self._now = now
        self._seq = 0

    def __call__(self, event: Event) -> Envelope:
        """Stamp one event."""
        self._seq += 1
        return Envelope(seq=self._seq, ts=self._now(), session=self._session, event=event)


class EventStream:
    """Stamp one session's events, and give each to everybody who listens."""

    def __init__(self, stamp: Stamp, *readers: Callable[[Envelope], None]) -> None:
        self._stamp = stamp
        self._readers = list(readers)

    def emit(self, event: Event) -> None:
        """Pass an event on. Returns once every reader has it."""
        envelope = self._stamp(event)
        for reader in self._readers:
            reader(envelope)

    def listen(self, reader: Callable[[Envelope], None]) -> None:
        """Give a reader every event from now on."""
        self._readers.append(reader)


def to_json(envelope: Envelope) -> dict[str, Any]:
    """Write an envelope as JSON: the event's fields, and v, seq, ts, session and type."""
    fields: dict[str, Any] = msgspec.to_builtins(envelope.event)
    head = {"v": SCHEMA_VERSION, "seq": envelope.seq, "ts": envelope.ts, "session": envelope.session}
    return {**head, "type": type_name(type(envelope.event)), **fields}


def from_json(document: object) -> Envelope | None:
    """Read what `to_json` wrote; None for a type of event that this version doesn't know.

    Raises ValueError on what is no event at all.
    """
    match document:
        case {"type": str(kind), "seq": int(seq), "ts": str(ts), "session": str(session), **fields}:
            if kind not in _TYPES:
                return None
            try:
                event = msgspec.convert(fields, _TYPES[kind])
            except msgspec.ValidationError as error:
                raise ValueError(f"not an event {kind}: {error}") from error
            return Envelope(seq=seq, ts=ts, session=session, event=event)
    raise ValueError("not an event")
