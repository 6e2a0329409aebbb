"""Witnesses of what a session does. None of them asks the tool.

Trees come from the archives that source-controller serves to Flux, objects from a watch on the API server,
what the store holds from its own files, and who wrote to it when from the proxy.
"""

from __future__ import annotations

import hashlib
import tarfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.place import NAMESPACE, SESSION, Place
from tests.chaos.proxies import Request
from tests.chaos.watches import Watch
from tests.chaos.world import World

LOOK_S = 0.1
APPLIED_LABEL = "kustomize.toolkit.fluxcd.io/name"
FENCE = "gitops-run.dev/fence"
STORE_PREFIX = "src/"
UPLOADS = ".sgwtmp"
"""The folder in which versitygw keeps what is being uploaded."""


@dataclass(slots=True)
class Violations:
    """What was found, in words, each with its time."""

    clock: Callable[[], float]
    torn: list[str] = field(default_factory=list)
    wrong_prunes: list[str] = field(default_factory=list)
    mismatches: list[str] = field(default_factory=list)
    late_writes: list[str] = field(default_factory=list)
    fences_left: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)

    def add(self, kind: list[str], what: str) -> None:
        kind.append(f"{self.clock():.1f} s: {what}")


class Witnesses:
    """Look at the cluster and the store until closed."""

    def __init__(self, place: Place, world: World, violations: Violations) -> None:
        self._place = place
        self._world = world
        self._violations = violations
        self._live: dict[str, Mapping[str, str]] = {}
        self._bucket: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._mark = ""
        self._seen: set[str] = set()
        self.fences: list[tuple[float, int]] = []
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._look_at_artifacts, daemon=True)
        namespace = f"namespaces/{NAMESPACE}"
        self._watches = (
            Watch(place.sandbox, f"/api/v1/{namespace}/configmaps", self._see_object),
            Watch(place.sandbox, f"/apis/source.toolkit.fluxcd.io/v1/{namespace}/buckets", self._see_bucket),
        )
        self._thread.start()

    @property
    def artifacts(self) -> int:
        """Count the trees that reached Flux."""
        return len(self._seen)

    def close(self) -> None:
        self._ends.set()
        self._thread.join()
        for watch in self._watches:
            watch.close()

    def difference(self) -> str:
        """Say how cluster, store and disk differ; "" where all are the same and the Bucket is live."""
        newest = self._world.newest
        with self._lock:
            live = dict(self._live)
        wrong = sorted(
            name for name in live.keys() | newest.objects.keys() if live.get(name) != newest.objects.get(name)
        )
        if wrong:
            return f"the cluster is not at generation {newest.number}: {', '.join(wrong[:5])}"
        stored = self._stored()
        wrong = sorted(
            path for path in stored.keys() | newest.files.keys() if stored.get(path) != newest.files.get(path)
        )
        if wrong:
            return (
                f"the store is not at generation {newest.number}: {len(wrong)} files, {', '.join(wrong[:5])}"
            )
        return self.fence()

    def fence(self) -> str:
        """Say whose fence is up; "" for none."""
        with self._lock:
            bucket = self._bucket
        if not bucket.get("spec", {}).get("suspend", False):
            return ""
        return f"the Bucket is suspended by {bucket['metadata'].get('annotations', {}).get(FENCE, 'nobody')}"

    def _stored(self) -> dict[str, str]:
        stored: dict[str, str] = {}
        with suppress(OSError):  # it is being written to
            (bucket,) = self._place.objects.glob("gitops-run-*")
            for path in bucket.rglob("*"):
                if path.is_file() and UPLOADS not in path.parts:
                    key = str(path.relative_to(bucket))
                    stored[key.removeprefix(STORE_PREFIX)] = hashlib.sha256(path.read_bytes()).hexdigest()
        return stored

    def _see_object(self, live: dict[str, Any] | None, name: str) -> None:
        if live is None:
            self._see_deleted(name)
        elif live["metadata"].get("labels", {}).get(APPLIED_LABEL) == SESSION:
            with self._lock:
                self._live[name] = live.get("data", {})

    def _see_deleted(self, name: str) -> None:
        with self._lock:
            was_live = self._live.pop(name, None) is not None
        newest = self._world.newest
        if was_live and name in newest.objects:
            self._violations.add(
                self._violations.wrong_prunes, f"{name} was deleted, and generation {newest.number} holds it"
            )

    def _see_bucket(self, live: dict[str, Any] | None, name: str) -> None:
        with self._lock:
            self._bucket = live or {}
        mark = self._bucket.get("metadata", {}).get("annotations", {}).get(FENCE, "")
        if mark and mark != self._mark:
            self.fences.append((time.monotonic(), _pid_of(mark)))
        self._mark = mark

    def _look_at_artifacts(self) -> None:
        while not self._ends.is_set():
            for path in self._place.artifacts.glob("*.tar.gz"):
                with suppress(FileNotFoundError):
                    stamp = f"{path.name} {path.stat().st_mtime_ns}"
                    if stamp not in self._seen and not path.is_symlink():
                        self._look_at(path)
                        self._seen.add(stamp)
            self._ends.wait(LOOK_S)

    def _look_at(self, path: Path) -> None:
        files: dict[str, str] = {}
        with tarfile.open(path) as archive:
            for member in archive:
                content = archive.extractfile(member) if member.isfile() else None
                if content is not None:
                    key = member.name.removeprefix("./").removeprefix(STORE_PREFIX)
                    files[key] = hashlib.sha256(content.read()).hexdigest()
        is_before_the_first_save = not files and not self._seen
        if not self._world.was(files) and not is_before_the_first_save:
            self._violations.add(self._violations.torn, f"{path.name}: {_nearest(files, self._world)}")


def _nearest(files: Mapping[str, str], world: World) -> str:
    newest = world.newest
    other = sum(1 for path in files.keys() | newest.files.keys() if files.get(path) != newest.files.get(path))
    return (
        f"{len(files)} files that never were on disk together; {other} differ from generation {newest.number}"
    )


def _pid_of(mark: str) -> int:
    """Read the process id from a fence's mark, "user@host/pid/MACHINE-RANDOM/SAVE"."""
    pid = mark.partition("/")[2].partition("/")[0]
    return int(pid) if pid.isdigit() else 0


def late_writes(requests: Sequence[Request], fences: Sequence[tuple[float, int]], began: float) -> list[str]:
    """Find what a writer wrote, and which fences it put up, after a later one had begun.

    A writer begins, with a list or a write, once it has outwaited the one before. fences: monotonic seconds
    and process id of each. began: the monotonic seconds from which times are counted.
    """
    tenures: dict[int, float] = {}
    for request in requests:
        if request.writer and (request.is_list or request.is_write):
            tenures.setdefault(request.writer, request.at)
    late = []
    for request in requests:
        since = tenures.get(request.writer, request.connected)
        successors = [
            pid for pid, at in tenures.items() if pid != request.writer and since < at <= request.at
        ]
        if request.is_write and successors:
            path = request.target.partition("?")[0].rpartition("/")[2]
            late.append(
                f"{request.at - began:.1f} s: {request.method} {path} by {request.writer or 'others'}, "
                f"after {successors[-1]} had begun"
            )
    for at, pid in fences:
        if any(tenures.get(pid, at) < other <= at for other in tenures.values()):
            late.append(f"{at - began:.1f} s: the Bucket was fenced by {pid}, after another had begun")
    return late


def wait_for(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(LOOK_S)
    return True
