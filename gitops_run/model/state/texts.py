"""State and record as texts, for the ConfigMaps that hold them: within their sizes, whatever they hold.

A reader takes what it knows and makes nothing of what it can't read: another version wrote it, or another
person.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final, TypeVar

import msgspec

from gitops_run.model.state.record import Record
from gitops_run.model.state.saves import SaveRecord
from gitops_run.model.state.summary import Summary

SUMMARY_BYTES_MAX: Final = 4 * 1024
RECORD_BYTES_MAX: Final = 64 * 1024

_Form = TypeVar("_Form", Record, Summary)


def summary_text(summary: Summary) -> str:
    """Write a summary, 4 KB at most: texts of escaped characters may be too long, and are left out then."""
    return _first_that_fits(summary, _smaller_summaries, SUMMARY_BYTES_MAX)


def record_text(record: Record) -> str:
    """Write a record, 64 KB at most: the oldest details are left out first, then the oldest saves."""
    return _first_that_fits(record, _smaller_records, RECORD_BYTES_MAX)


def parse_summary(text: str) -> Summary | None:
    """Read a summary; None where there is none, or another text."""
    return _parse(text, Summary)


def parse_record(text: str) -> Record | None:
    """Read a record; None where there is none, or another text."""
    return _parse(text, Record)


def _parse(text: str, form: type[_Form]) -> _Form | None:
    try:
        return msgspec.json.decode(text, type=form) if text else None
    except (msgspec.DecodeError, RecursionError):
        return None


def _first_that_fits(value: _Form, smaller: Callable[[_Form], Iterator[_Form]], most: int) -> str:
    encoded = msgspec.json.encode(value)
    ways = smaller(value)
    while len(encoded) > most:
        encoded = msgspec.json.encode(next(ways))
    return encoded.decode()


def _smaller_summaries(summary: Summary) -> Iterator[Summary]:
    """Leave out one text after another, those that are shown elsewhere first."""
    yield (summary := replace(summary, recent_ms=()))
    yield (summary := replace(summary, trouble=""))
    yield (summary := replace(summary, first_unhealthy=""))
    if summary.last is not None:
        last = replace(summary.last, targets=())
        yield replace(summary, last=last)
        yield (summary := replace(summary, last=replace(last, problem="")))
    yield (summary := replace(summary, answer=None))
    yield replace(summary, branch="")


def _smaller_records(record: Record) -> Iterator[Record]:
    saves = list(record.saves)
    for number, save in enumerate(saves):
        saves[number] = _without_details(save)
        yield replace(record, saves=tuple(saves))
    record = replace(record, unhealthy=tuple(replace(one, log=()) for one in record.unhealthy))
    while saves:
        del saves[0]
        yield replace(record, saves=tuple(saves))
    while True:
        record = replace(record, unhealthy=record.unhealthy[:-1], saves=(), kept=())
        yield record


def _without_details(save: SaveRecord) -> SaveRecord:
    return replace(save, files=(), changes=(), not_checked=(), problems=save.problems[:1])
