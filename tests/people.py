"""People at a terminal: each with a home directory, a kubeconfig and the real command line."""

from __future__ import annotations

import base64
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COMMAND = (sys.executable, "-m", "gitops_run")
PATIENCE_S = 60.0
CLUSTER_SCOPED = frozenset({"namespace", "clusterrole", "namespaces"})


@dataclass(frozen=True)
class Finished:
    """What a command left."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Person:
    """Somebody who types commands in a directory."""

    env: Mapping[str, str]
    cwd: Path

    def types(self, *arguments: str, timeout_s: float = PATIENCE_S, **env: str) -> Finished:
        result = subprocess.run(
            [*COMMAND, *arguments],
            cwd=self.cwd,
            env={**self.env, **env},
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        return Finished(result.returncode, result.stdout, result.stderr)

    def succeeds(self, *arguments: str, **env: str) -> Finished:
        finished = self.types(*arguments, **env)
        assert finished.code == 0, f"{arguments}: {finished.code}\n{finished.out}\n{finished.err}"
        return finished

    @contextmanager
    def leaves_running(self, *arguments: str, **env: str) -> Iterator[Running]:
        """Start a command that tells JSON lines, and interrupt it at the end."""
        process = subprocess.Popen(
            [*COMMAND, *arguments, "-o", "json"],
            cwd=self.cwd,
            env={**self.env, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        running = Running(process)
        try:
            yield running
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
            try:
                process.wait(PATIENCE_S)
            finally:
                if process.poll() is None:
                    process.kill()
                running.close()

    def begins(self, *arguments: str, until: str, **env: str) -> subprocess.Popen[str]:
        """Start a command in a group of its own, and return it once it has told a line with these words."""
        process = subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=self.cwd,
            env={**self.env, **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert process.stderr is not None
        has_told = any(until in line for line in process.stderr)
        assert has_told
        return process

    def starts(self, *command: str, has_output: bool = False) -> subprocess.Popen[str]:
        """Start any program in this person's environment."""
        output = subprocess.PIPE if has_output else subprocess.DEVNULL
        return subprocess.Popen(command, env=dict(self.env), cwd=self.cwd, text=True, stdout=output)

    def kubectl(self, *arguments: str, timeout_s: float = PATIENCE_S) -> str:
        result = subprocess.run(
            [str(Path(sys.executable).parent / "kubectl"), *arguments],
            env=dict(self.env),
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
        )
        assert result.returncode == 0, result.stderr
        return result.stdout

    def get(self, kind: str, namespace: str = "") -> list[dict[str, Any]]:
        """List the objects of a kind in a namespace, as the API server has them."""
        where = ("-n", namespace) if namespace else ()
        items: list[dict[str, Any]] = json.loads(self.kubectl("get", kind, *where, "-o", "json"))["items"]
        return items

    def secret(self, name: str, namespace: str, *flags: str) -> dict[str, str]:
        """Read a Secret's values."""
        document = json.loads(self.kubectl("get", "secret", name, "-n", namespace, "-o", "json", *flags))
        return {key: base64.b64decode(value).decode() for key, value in document["data"].items()}

    def names(self, kind: str, namespace: str = "") -> set[str]:
        return {item["metadata"]["name"] for item in self.get(kind, namespace)}


def finish(process: subprocess.Popen[str]) -> int:
    """Wait for a command that ends, and return its exit code."""
    try:
        return process.wait(PATIENCE_S)
    finally:
        assert process.stderr is not None
        process.stderr.close()


class Running:
    """A command that runs, and what it has told."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.told: list[dict[str, Any]] = []
        self.errors = ""
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._threads = [
            threading.Thread(target=self._read_lines, daemon=True),
            threading.Thread(target=self._read_errors, daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def _read_lines(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.errors += line

    def tells(self, kind: str, patience_s: float = PATIENCE_S, **fields: object) -> dict[str, Any]:
        """Wait for the next event of this type with these fields; what comes before it is kept in told.

        kind: or several types, with | between them.
        """
        while True:
            event = self.tells_one_of(*kind.split("|"), patience_s=patience_s)
            if all(event.get(key) == value for key, value in fields.items()):
                return event

    def tells_until(
        self,
        is_asserted: Callable[[dict[str, Any]], bool],
        kind: str,
        patience_s: float = PATIENCE_S,
        **fields: object,
    ) -> dict[str, Any]:
        """Wait for events of this type with these fields, until a fact holds after one of them.

        A slow machine makes two saves of one burst, and tells more than once how an object does.
        """
        while True:
            event = self.tells(kind, patience_s, **fields)
            if is_asserted(event):
                return event

    def tells_one_of(self, *kinds: str, patience_s: float = PATIENCE_S) -> dict[str, Any]:
        """Wait for the next event of one of these types."""
        while True:
            try:
                line = self._lines.get(timeout=patience_s)
            except queue.Empty:
                raise AssertionError(f"no {kinds} came; told {self.told}; {self.errors}") from None
            assert line is not None, f"it ended before {kinds}; told {self.told}; {self.errors}"
            event: dict[str, Any] = json.loads(line)
            self.told.append(event)
            if event["type"] in kinds:
                return event

    def says(self, is_asserted: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """Wait for a line of which something holds: of a stream whose lines have no types."""
        while line := self._lines.get(timeout=PATIENCE_S):
            document: dict[str, Any] = json.loads(line)
            if is_asserted(document):
                return document
        raise AssertionError(f"it ended before that; {self.errors}")

    def ends(self, patience_s: float = PATIENCE_S) -> int:
        return self.process.wait(patience_s)

    def interrupt(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.ends()

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(PATIENCE_S)

    def close(self) -> None:
        for thread in self._threads:
            thread.join(PATIENCE_S)
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()
