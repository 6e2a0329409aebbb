"""A command at a terminal of its own, as a person has it: it sees the keys, and may stop taking output."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import subprocess
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.people import COMMAND, PATIENCE_S, Person

CTRL_C = "\x03"
CTRL_S = "\x13"
LOOK_S = 0.05


class Terminal:
    """A terminal whose screen is read until it is closed."""

    def __init__(self, process: subprocess.Popen[bytes], descriptor: int) -> None:
        self.process = process
        self._descriptor = descriptor
        self._screen = b""
        self._is_closing = False
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def screen(self) -> str:
        return self._screen.decode(errors="replace")

    def shows(self, words: str, patience_s: float = PATIENCE_S) -> None:
        """Wait until words stand on the screen."""
        with self._news:
            assert self._news.wait_for(lambda: words in self.screen, patience_s), self.screen

    def types(self, keys: str) -> None:
        os.write(self._descriptor, keys.encode())

    def ends(self, patience_s: float = PATIENCE_S) -> tuple[int, float]:
        """Wait for the command's end; return its exit code and the seconds until then."""
        began = time.monotonic()
        code = self.process.wait(patience_s)
        return code, time.monotonic() - began

    def close(self) -> None:
        """Close the window: the command gets SIGHUP."""
        self._is_closing = True
        self._reader.join(PATIENCE_S)
        with suppress(OSError):
            os.close(self._descriptor)

    def _read(self) -> None:
        """Read until the window closes; a read that waited would keep it open."""
        with suppress(OSError):
            while not self._is_closing:
                if not select.select([self._descriptor], [], [], LOOK_S)[0]:
                    continue
                data = os.read(self._descriptor, 65536)
                with self._news:
                    self._screen += data
                    self._news.notify_all()


@contextmanager
def at_terminal(person: Person, *arguments: str) -> Iterator[Terminal]:
    """Start a command at a terminal, and kill it at the end if it still runs."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=person.cwd,
        env=dict(person.env),
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - before any thread is started
    )
    os.close(slave)
    terminal = Terminal(process, master)
    try:
        yield terminal
    finally:
        process.kill()
        process.wait(PATIENCE_S)
        terminal.close()
