"""A limit of memory for requests whose library reads an answer whole, however long it is.

obstore (0.12) has no limit of its own: an endless answer took 2 GB within its timeout of 4 s. So the
process's own memory is watched while a request is in flight, and a request during which it grows too much is
cancelled, which frees what it read. Linux reports a process's memory; elsewhere timeouts are the only limit.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable
from pathlib import Path
from typing import Final, TypeVar

import anyio

from gitops_run.errors import ungrouped

GROWTH_BYTES_MAX: Final = 512 * 1024 * 1024
"""Twice what a session may hold: the contents that are written count too."""
LOOK_S: Final = 0.05

_STATM: Final = Path("/proc/self/statm")
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
_Answer = TypeVar("_Answer")


class AnswerTooLargeError(Exception):
    """Report a request that was given up because its answer seemed to have no end."""


async def within_memory(request: Awaitable[_Answer]) -> _Answer:
    """Wait for a request. Raises AnswerTooLargeError where memory grows by too much meanwhile."""
    answers: list[_Answer] = []
    with ungrouped(Exception):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_give_up_on_growth, tasks.cancel_scope)
            answers.append(await request)
            tasks.cancel_scope.cancel()
    if not answers:
        raise AnswerTooLargeError
    return answers[0]


async def _give_up_on_growth(scope: anyio.CancelScope) -> None:
    before = _used_bytes()
    while _used_bytes() - before <= GROWTH_BYTES_MAX:  # noqa: ASYNC110 - no event reports growth
        await anyio.sleep(LOOK_S)
    scope.cancel()


def _used_bytes() -> int:
    try:
        return int(_STATM.read_text().split()[1]) * _PAGE_BYTES
    except OSError:
        return 0
