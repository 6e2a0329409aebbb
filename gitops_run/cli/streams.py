"""Standard output and standard error, written by threads of their own.

A terminal that is stopped (Ctrl-S) or a pipe that nobody reads holds the thread that writes to it, and
nothing else: the event loop goes on, and with it the Lease's renewal. What the stream's encoding can't
represent is replaced. This module knows nothing of what is written.
"""

from __future__ import annotations

import errno
import io
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any, Final, NoReturn, TextIO

LAST_WORDS_S: Final = 0.3
"""How long a terminal that takes nothing may hold up the end."""
_GONE: Final = errno.EIO
"""The error of a write to a closed terminal: nobody is left to read."""


class _Lane:
    """Write to one file in the order of what was said. Standard output and standard error may share it."""

    def __init__(self) -> None:
        self.error: OSError | None = None
        self.on_failure: Callable[[OSError], None] = lambda _: None
        self._queue: SimpleQueue[tuple[int, bytes] | threading.Event] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def put(self, descriptor: int, data: bytes) -> None:
        """Have bytes written. Raises what an earlier write failed with, unless the terminal is gone."""
        if self.error is not None and self.error.errno != _GONE:
            raise self.error
        self._queue.put((descriptor, data))
        if self._thread is None:
            self._thread = threading.Thread(target=self._write_for_ever, name="output", daemon=True)
            self._thread.start()

    def drain(self, seconds: float | None) -> bool:
        """Wait until everything is written, or failed; say whether it was within that time."""
        if self._thread is None:
            return True
        is_written = threading.Event()
        self._queue.put(is_written)
        return is_written.wait(seconds)

    def _write_for_ever(self) -> None:
        while True:
            item = self._queue.get()
            if isinstance(item, threading.Event):
                item.set()
            elif self.error is None:
                self._write(*item)

    def _write(self, descriptor: int, data: bytes) -> None:
        try:
            while data:
                data = data[os.write(descriptor, data) :]
        except OSError as error:
            self.error = error
            if error.errno != _GONE:
                self.on_failure(error)


class _QueuedFile(io.RawIOBase):
    """Take what a text stream writes."""

    def __init__(self, descriptor: int, lane: _Lane) -> None:
        self.lane = lane
        self._descriptor = descriptor

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        content = bytes(data)
        self.lane.put(self._descriptor, content)
        return len(content)


@contextmanager
def queued_streams() -> Iterator[None]:
    """Write both streams by threads while inside, and wait at the end until everything is written."""
    before = sys.stdout, sys.stderr
    lanes: dict[tuple[int, int], _Lane] = {}
    sys.stdout, sys.stderr = (_queued(stream, lanes) for stream in before)
    try:
        yield
        drain(None)
    finally:
        sys.stdout, sys.stderr = before


def drain(seconds: float | None) -> bool:
    """Wait until all that was said is written, each stream for some seconds at most; say whether it is."""
    drained = [lane.drain(seconds) for lane in _lanes()]
    return all(drained)


def lost() -> OSError | None:
    """Explain why something that was said could not be written; a reader that has gone wants no more."""
    errors = (lane.error for lane in _lanes())
    return next((error for error in errors if error and error.errno not in {_GONE, errno.EPIPE}), None)


def leave(code: int) -> NoReturn:
    """End the process without waiting for its threads: one that asks a person may never end."""
    drain(LAST_WORDS_S)
    os._exit(code)


@contextmanager
def output_failing(report: Callable[[OSError], None]) -> Iterator[None]:
    """Call back, from another thread, when a stream can't be written any more."""
    for lane in _lanes():
        lane.on_failure = report
        if lane.error is not None:
            report(lane.error)
    try:
        yield
    finally:
        for lane in _lanes():
            lane.on_failure = lambda _: None


def _lanes() -> tuple[_Lane, ...]:
    buffers = (getattr(stream, "buffer", None) for stream in (sys.stdout, sys.stderr))
    return tuple({id(b.lane): b.lane for b in buffers if isinstance(b, _QueuedFile)}.values())


def _queued(stream: TextIO, lanes: dict[tuple[int, int], _Lane]) -> TextIO:
    """Wrap a stream of the process; one that is closed, or that is no file, is left as it is."""
    try:
        descriptor = stream.fileno()
        status = os.fstat(descriptor)
        stream.flush()
    except (AttributeError, OSError, ValueError):
        return stream
    lane = lanes.setdefault((status.st_dev, status.st_ino), _Lane())
    file: Any = _QueuedFile(descriptor, lane)  # a raw file: it keeps nothing back
    return io.TextIOWrapper(
        file,
        encoding=stream.encoding,
        errors="replace",
        line_buffering=True,
        write_through=True,
    )
