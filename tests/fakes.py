"""Small real implementations of the save loop's ports: a store, Flux, files, a lease.

The Flux here has what matters of the real one: tokens, one reconciliation of an object at a time,
a listing and then a fetch that drops what vanished meanwhile, a Kustomization that is triggered by a new
revision, skips nothing, prunes, and reports. tests/contract/test_ports.py and test_flux_port.py hold each
fake to the real thing.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import anyio

from gitops_run.errors import (
    BackendError,
    GuardError,
    LockedError,
    NotFound,
    TransientError,
    WaitTimeout,
    ungrouped,
)
from gitops_run.model.flux.conditions import ApplierStatus, SourceStatus
from gitops_run.model.flux.requests import Request, Verb
from gitops_run.model.health.rules import READY, Health
from gitops_run.model.objects.identity import ObjectRef
from gitops_run.model.state.events import Event
from gitops_run.model.store.objects import StoredObject, flux_revision
from gitops_run.model.store.permit import Permit
from gitops_run.model.text.problem import Problem
from gitops_run.model.tree.ignore import Rule
from gitops_run.model.tree.snapshot import Snapshot
from gitops_run.model.tree.tree import FileEntry, Tree

BROKEN = b"broken"
TARGET = "app"


class Killed(BaseException):
    """What a SIGKILL is to a process: nothing catches it, nothing is cleaned up."""


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def revision_of(files: Mapping[str, bytes]) -> str:
    """The revision that a tree has once it is stored."""
    return flux_revision(
        StoredObject(key=f"src/{path}", etag=md5(content), size=0) for path, content in files.items()
    )


def objects_of(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """What a tree makes of the cluster: an object for each file of the target."""
    prefix = f"{TARGET}/"
    return {path.removeprefix(prefix): content for path, content in files.items() if path.startswith(prefix)}


def contents(snapshot: Snapshot) -> dict[str, bytes]:
    """Read all files of a snapshot."""
    return {path: snapshot.read_bytes(path) for path in snapshot.tree.files}


async def never_stopped() -> None:
    """Go on at once."""


class FakeStore:
    """A bucket that survives its writers.

    stalled_until: until then each put takes stall_s. lists_as: the ETag that a listing shows for everything.
    has_conditions: whether a put heeds the ETag of what it is to replace.
    """

    wave = 2
    request_s = 10.0

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}
        self.put_s = 0.01
        self.stall_s = 0.0
        self.stalled_until = 0.0
        self.lists_as = ""
        self.has_conditions = True
        self.on_write: Callable[[], None] = lambda: None
        self._replaced = anyio.Event()

    def begin_anew(self) -> None:
        """Lose everything, as a server does whose pod is replaced."""
        self.content.clear()
        self._replaced.set()
        self._replaced = anyio.Event()

    def admitting(self) -> AbstractContextManager[None]:
        return nullcontext()

    async def replaced(self) -> str:
        await self._replaced.wait()
        return "its pod was replaced"

    async def list(self, prefix: str = "") -> tuple[StoredObject, ...]:
        await anyio.sleep(0.002)
        return tuple(
            StoredObject(key=key, etag=self.lists_as or md5(content), size=len(content))
            for key, content in sorted(self.content.items())
            if key.startswith(prefix)
        )

    async def put_many(
        self, objects: Mapping[str, bytes], permit: Permit, over: Mapping[str, str] | None = None
    ) -> dict[str, str]:
        waiting = list(objects.items())
        kept_back = set()

        async def put_in_turn() -> None:
            while waiting:
                key, content = waiting.pop(0)
                await permit()
                if not await self._put(key, content, (over or {}).get(key, "")):
                    kept_back.add(key)

        with ungrouped():
            async with anyio.create_task_group() as workers:
                for _ in range(self.wave):
                    workers.start_soon(put_in_turn)
        return {key: md5(content) for key, content in objects.items() if key not in kept_back}

    async def heeds_conditions(self, key: str, content: bytes, permit: Permit) -> bool:
        return not await self.put_many({key: content}, permit, {key: "0" * 32})

    async def _put(self, key: str, content: bytes, over: str) -> bool:
        is_stalled = anyio.current_time() < self.stalled_until
        takes_s = self.stall_s if is_stalled else self.put_s
        try:
            await anyio.sleep(min(takes_s, self.request_s))
        except anyio.get_cancelled_exc_class():
            # What was sent takes effect, whether or not somebody still waits for the answer.
            self._write(key, content, over)
            raise
        if takes_s > self.request_s:
            raise TransientError(f"{key} was not put in time")
        return self._write(key, content, over)

    def _write(self, key: str, content: bytes, over: str) -> bool:
        if over and self.has_conditions and (key not in self.content or md5(self.content[key]) != over):
            return False
        if any(other.startswith(f"{key}/") or key.startswith(f"{other}/") for other in self.content):
            raise BackendError(f"{key} is a file and a folder: stores that keep files can't hold both")
        self.on_write()
        self.content[key] = content
        return True

    async def delete(self, keys: Iterable[str], permit: Permit) -> None:
        await permit()
        for key in keys:
            await anyio.sleep(0.001)
            self.on_write()
            self.content.pop(key, None)


@dataclass
class FakeCluster:
    """Flux and what it applied; survives the loop. `run` is its controllers.

    notice_s: how long the applier is at work before its status says so.
    """

    store: FakeStore
    source: SourceStatus = field(default_factory=SourceStatus)
    applier: ApplierStatus = field(default_factory=ApplierStatus)
    live: dict[str, bytes] = field(default_factory=dict)
    applied_trees: list[dict[str, bytes]] = field(default_factory=list)
    artifact: dict[str, bytes] = field(default_factory=dict)
    source_token: str = ""
    applier_token: str = ""
    refuses: bytes = b"refused"
    fetch_s: float = 0.05
    fails_to_fetch: bool = False
    apply_s: float = 0.1
    notice_s: float = 0.0
    on_apply: Callable[[dict[str, bytes]], None] = lambda tree: None
    on_fetch: Callable[[], None] = lambda: None
    paused_until: float = 0.0

    def __post_init__(self) -> None:
        self._news = anyio.Event()
        self._source_work: asyncio.Queue[None] = asyncio.Queue()
        self._applier_work: asyncio.Queue[None] = asyncio.Queue()

    async def changed(self) -> None:
        await self._news.wait()

    def ask(self, request: Request) -> None:
        """Take a request, as an annotation of the Bucket."""
        self.source = replace(self.source, request=request)
        self.tell()

    def tell(self) -> None:
        self._news.set()
        self._news = anyio.Event()

    async def run(self) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._fetch_for_ever)
            tasks.start_soon(self._apply_for_ever)

    def poke_source(self) -> None:
        self._source_work.put_nowait(None)

    def poke_applier(self) -> None:
        self._applier_work.put_nowait(None)

    async def _resumed(self) -> None:
        """Wait until the controllers run again."""
        await anyio.sleep(max(0.0, self.paused_until - anyio.current_time()))

    async def _fetch_for_ever(self) -> None:
        while True:
            await self._source_work.get()
            await self._resumed()
            token = self.source_token
            if self.fails_to_fetch:
                self.source = replace(
                    self.source, ready="False", reason="BucketOperationFailed", message="no answer"
                )
            elif not self.source.is_suspended:
                self.on_fetch()
                listed = await self.store.list()
                await anyio.sleep(self.fetch_s)
                fetched = {s.key: self.store.content[s.key] for s in listed if s.key in self.store.content}
                revision = flux_revision(
                    StoredObject(key=key, etag=md5(content), size=0) for key, content in fetched.items()
                )
                self.artifact = fetched
                is_new = revision != self.source.revision
                self.source = replace(self.source, revision=revision, ready="True")
                if is_new:
                    self.poke_applier()
            await anyio.sleep(0.005)
            self.source = replace(self.source, handled=token)
            self.tell()

    async def _apply_for_ever(self) -> None:
        while True:
            await self._applier_work.get()
            await self._resumed()
            token, revision = self.applier_token, self.source.revision
            files = {key.removeprefix("src/"): content for key, content in self.artifact.items()}
            if self.notice_s:
                await anyio.sleep(self.notice_s)
            if not self.applier.is_suspended:
                self.applier = replace(self.applier, ready="Unknown", reason="Progressing")
                self.tell()
            await anyio.sleep(self.apply_s)
            self.applier = self._apply(files, revision, token)
            self.tell()

    def _apply(self, files: dict[str, bytes], revision: str, token: str) -> ApplierStatus:
        if self.applier.is_suspended:
            return replace(self.applier, handled=token)
        wanted = objects_of(files)
        if not wanted:
            return replace(
                self.applier, handled=token, ready="False", reason="ArtifactFailed", message="no path"
            )
        failed = replace(self.applier, handled=token, ready="False", attempted=revision)
        if self.refuses in wanted.values():
            return replace(failed, reason="ReconciliationFailed", message="refused")
        self.live = wanted
        self.applied_trees.append(files)
        self.on_apply(files)
        inventory = tuple(sorted(f"ns_{name}__ConfigMap" for name in wanted))
        return replace(
            failed, ready="True", reason="ReconciliationSucceeded", applied=revision, inventory=inventory
        )


@dataclass
class FakeFlux:
    """The loop's view of the cluster. stopped: waits for as long as the loop's process is stopped."""

    cluster: FakeCluster
    stopped: Callable[[], Awaitable[None]] = never_stopped

    @property
    def source(self) -> SourceStatus:
        return self.cluster.source

    @property
    def applier(self) -> ApplierStatus:
        return self.cluster.applier

    async def changed(self) -> None:
        await self.cluster.changed()
        await self.stopped()

    async def news(self) -> None:
        with anyio.move_on_after(3):
            await self.cluster.changed()
        await self.stopped()

    async def fence(self, mark: str, permit: Permit) -> None:
        seen = None
        while seen is not self.cluster.source:
            seen = self.cluster.source
            await permit()
            await self.stopped()
        self.cluster.source = replace(self.cluster.source, is_suspended=True, fence=mark)
        self.cluster.source_token = f"{mark}/fence"
        self.cluster.poke_source()
        with anyio.move_on_after(20):
            while self.cluster.source.handled != f"{mark}/fence":
                await self.changed()
            return
        raise WaitTimeout("Flux did not see the fence")

    async def release(self, mark: str, token: str) -> None:
        await anyio.sleep(0.001)
        source = self.cluster.source
        if source.fence != mark:
            raise GuardError("the fence is another's")
        self.cluster.source = replace(source, is_suspended=False, fence="")
        self.cluster.source_token = token
        self.cluster.poke_source()
        await anyio.sleep(0.001)  # the answer's way back

    async def request_fetch(self, token: str) -> None:
        await anyio.sleep(0.001)
        self.cluster.source_token = token
        self.cluster.poke_source()
        await anyio.sleep(0.001)  # the answer's way back

    async def request_apply(self, token: str) -> None:
        await anyio.sleep(0.001)
        self.cluster.applier_token = token
        self.cluster.poke_applier()


@dataclass
class FakeSnapshot:
    """Files in memory."""

    files: dict[str, bytes]
    folder: Path = Path()
    problems: tuple[Problem, ...] = ()
    whole_root_reason: str = ""
    remarks: tuple[str, ...] = ()
    taken: str = "then"

    @property
    def tree(self) -> Tree:
        return Tree.of(FileEntry(path=p, size=len(c), digest=md5(c)) for p, c in self.files.items())

    def read_bytes(self, path: str) -> bytes:
        return self.files[path]

    def read_text(self, path: str) -> str | None:
        content = self.files.get(path)
        return None if content is None else content.decode()

    def hidden_by(self, path: str) -> Rule | None:
        del path
        return None

    def meant_by(self, path: str) -> str:
        return path


class FakeFiles:
    """A root in memory whose edits are seen by everyone who watches."""

    def __init__(self, files: dict[str, bytes] | None = None) -> None:
        self.files = dict(files or {})
        self._watchers: list[asyncio.Queue[frozenset[str]]] = []

    def write(self, path: str, content: bytes) -> None:
        self.files[path] = content
        self._tell(path)

    def delete(self, path: str) -> None:
        del self.files[path]
        self._tell(path)

    def _tell(self, path: str) -> None:
        for watcher in self._watchers:
            watcher.put_nowait(frozenset({path}))

    async def batches(self) -> AsyncIterator[frozenset[str]]:
        edits: asyncio.Queue[frozenset[str]] = asyncio.Queue()
        self._watchers.append(edits)
        while True:
            yield await edits.get()

    async def snapshot(self, touched: frozenset[str] = frozenset()) -> FakeSnapshot:
        del touched
        await anyio.sleep(0.002)
        return FakeSnapshot(dict(self.files))


class FakeRenderer:
    """Renders a ConfigMap for each file; remembers each tree that it let pass. refusal: of every tree."""

    def __init__(self) -> None:
        self.passed: list[dict[str, bytes]] = []
        self.refusal = ""

    async def render(self, snapshot: Snapshot, target: str) -> str | Problem:
        del target
        await anyio.sleep(0.04)
        if self.refusal:
            return Problem(message=self.refusal)
        files = contents(snapshot)
        for path, content in files.items():
            if content == BROKEN:
                return Problem(path=path, line=1, message="not valid YAML")
        self.passed.append(files)
        names = sorted(objects_of(files))
        documents = (
            f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: '{name}'\n  namespace: ns\n"
            for name in names
        )
        return "---\n".join(documents)


@dataclass
class FakeLeases:
    """Who may write; survives the loop. dead: holders that are known to run no more."""

    holder: str = ""
    dead: set[str] = field(default_factory=set)


@dataclass
class FakeLease:
    """One writer's hold on the lease: it believes in it for as long as it was last renewed for."""

    leases: FakeLeases
    holder: str
    stopped: Callable[[], Awaitable[None]] = never_stopped
    duration_s: float = 30.0
    margin_s: float = 12.0
    _valid_until: float = 0.0
    _lost: LockedError | None = None

    @property
    def is_lost(self) -> bool:
        return self._lost is not None

    async def take(self, emit: Callable[[Event], None], *, take_over: bool = False) -> None:
        del emit
        await anyio.sleep(0.001)
        other = self.leases.holder
        is_alive = other not in ("", self.holder) and other not in self.leases.dead
        if is_alive and not take_over:
            raise LockedError(f"held by {other}")
        self.leases.holder = self.holder
        if is_alive:
            await anyio.sleep(self.duration_s)
        await self._renew()

    async def keep(self) -> None:
        while True:
            await anyio.sleep(5)
            with suppress(TransientError):
                await self._renew()

    async def ensure(self) -> None:
        if self._lost is not None:
            raise self._lost
        if self._valid_until - anyio.current_time() < self.margin_s:
            await self._renew()

    async def release(self) -> bool:
        self.leases.holder = ""
        return True

    async def _renew(self) -> None:
        await self.stopped()
        began = anyio.current_time()
        await anyio.sleep(0.001)
        if self.leases.holder != self.holder:
            self._lost = LockedError(f"taken over by {self.leases.holder}")
            raise self._lost
        self._valid_until = began + self.duration_s


class FakeCarrier:
    """Carries requests out, but refuses what it is asked for as `refused`, and leaves the end to others."""

    def __init__(self) -> None:
        self.answered: frozenset[str] = frozenset()
        self.carried_out: list[str] = []

    async def carry_out(self, request: Request) -> bool:
        if request.verb == Verb.END:
            return False
        if request.argument == "refused":
            raise GuardError("the platform refuses")
        self.carried_out.append(request.verb)
        return True


class FakeHistory:
    """Snapshots that were applied, by revision, and requests to bring one back."""

    def __init__(self) -> None:
        self.kept: dict[str, FakeSnapshot] = {}
        self.delay_s = 0.0

    async def keep(self, snapshot: Snapshot) -> None:
        del snapshot

    async def record(self, snapshot: Snapshot, revision: str) -> str:
        self.kept[revision] = FakeSnapshot(contents(snapshot))
        return "2026-11-26T00:00:00Z"

    async def snapshot(self, revision: str) -> FakeSnapshot:
        await anyio.sleep(self.delay_s)
        if revision not in self.kept:
            raise NotFound(f"{revision} is not kept")
        return self.kept[revision]


class FakeHealth:
    """Everything is ready as soon as it is applied."""

    async def changes(self, objects: tuple[ObjectRef, ...]) -> AsyncIterator[Mapping[ObjectRef, Health]]:
        yield dict.fromkeys(objects, READY)
        await anyio.sleep_forever()


def counting_tokens() -> Callable[[], str]:
    """Make tokens that never repeat."""
    counter = itertools.count(1)
    return lambda: f"token-{next(counter)}"
