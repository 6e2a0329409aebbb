"""What the save loop needs of the outside, as small protocols.

The adapters fulfil them for real, tests/fakes.py with small real implementations.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import anyio

from gitops_run.model.flux.conditions import ApplierStatus, SourceStatus
from gitops_run.model.objects.dry_run import Look
from gitops_run.model.objects.identity import RenderedObject
from gitops_run.model.state.events import Event
from gitops_run.model.store.objects import StoredObject
from gitops_run.model.store.permit import Permit
from gitops_run.model.text.problem import Problem
from gitops_run.model.tree.snapshot import Snapshot

Emit = Callable[[Event], None]
"""Takes an event and returns at once."""


class Files(Protocol):
    """The root on disk."""

    def batches(self) -> AsyncIterator[frozenset[str]]:
        """Yield the paths that changed, as they change."""
        ...

    async def snapshot(self, touched: frozenset[str] = frozenset()) -> Snapshot:
        """Take the state of now."""
        ...


class Renderer(Protocol):
    """Kustomize."""

    async def render(self, snapshot: Snapshot, target: str) -> str | Problem:
        """Render a target as Flux will: YAML, or what is wrong.

        Raises NotRenderableError where only Flux can.
        """
        ...


class Store(Protocol):
    """The session's S3 bucket."""

    def admitting(self) -> AbstractContextManager[None]:
        """Allow writes to an empty store that has replaced this one while inside.

        Outside, writing waits and fails: one object in an empty store must not be what Flux fetches.
        """
        ...

    async def list(self, prefix: str = "") -> tuple[StoredObject, ...]:
        """List every object."""
        ...

    async def put_many(
        self, objects: Mapping[str, bytes], permit: Permit, over: Mapping[str, str] | None = None
    ) -> dict[str, str]:
        """Write objects, several at a time, and return their ETags by key.

        over: ETags of objects that are written only in the place of just these. One that the store no longer
        holds so is not written and has no ETag in the result, unless the store ignores conditions.
        """
        ...

    async def heeds_conditions(self, key: str, content: bytes, permit: Permit) -> bool:
        """Report whether the store heeds the conditions of put_many, by a put that changes nothing.

        key, content: of an object that the store holds.
        """
        ...

    async def delete(self, keys: Iterable[str], permit: Permit) -> None:
        """Remove objects; one that is gone already is no error."""
        ...


class StoreWatch(Protocol):
    """Whether the store is still the one that was written to."""

    async def replaced(self) -> str:
        """Wait until another store stands in its place, with nothing in it; say what happened."""
        ...


class SteadyStore:
    """A store that stays itself, whatever runs it."""

    async def replaced(self) -> str:
        """Wait for ever."""
        await anyio.sleep_forever()
        raise AssertionError


class Flux(Protocol):
    """The session's Flux Bucket and Kustomization, watched."""

    @property
    def source(self) -> SourceStatus: ...  # noqa: D102
    @property
    def applier(self) -> ApplierStatus: ...  # noqa: D102

    async def changed(self) -> None:
        """Wait for the next change of either. Raises NotFound once the session was destroyed."""
        ...

    async def news(self) -> None:
        """Wait for the next change, or for a look at both after some silence. Raises NotFound."""
        ...

    async def fence(self, mark: str, permit: Permit) -> None:
        """Suspend the Bucket in the name of a new mark, and wait until no fetch can be in flight.

        The Bucket is left unchanged where somebody else changed it after the permit was given.
        """
        ...

    async def release(self, mark: str, token: str) -> None:
        """Lift the fence of this mark and ask for a fetch, in one patch. Raises GuardError on another's."""
        ...

    async def request_fetch(self, token: str) -> None:
        """Ask the Bucket to be reconciled."""
        ...

    async def request_apply(self, token: str) -> None:
        """Ask the Kustomization to be reconciled."""
        ...


class Lease(Protocol):
    """The right to write, held by one at a time."""

    @property
    def holder(self) -> str: ...  # noqa: D102

    async def take(self, emit: Emit, *, take_over: bool = False) -> None:
        """Take the lease, waiting for one that runs out.

        Raises LockedError where someone else holds it and take_over is False.
        """
        ...

    async def keep(self) -> None:
        """Renew until cancelled. Raises LockedError when it was taken over."""
        ...

    @property
    def is_lost(self) -> bool:
        """Report whether it was taken over: then it stays lost for this holder."""
        ...

    async def ensure(self) -> None:
        """Make sure that it is valid with margin: the permit for every request that writes.

        Raises LockedError when it was taken over, TransientError when it can't be renewed.
        """
        ...

    async def release(self) -> bool:
        """Let go, so that the next one need not wait."""
        ...


class ClusterLook(Protocol):
    """The cluster, asked in the name of the session's ServiceAccount."""

    async def look(self, objects: Sequence[RenderedObject], *, has_dry_run: bool) -> tuple[Look, ...]:
        """Look at each object, in order: what is live, and what a dry run makes of it."""
        ...


class History(Protocol):
    """The session's last snapshots that Flux has applied."""

    async def keep(self, snapshot: Snapshot) -> None:
        """Keep a snapshot's contents while its folder holds them; it isn't listed before it is recorded."""
        ...

    async def record(self, snapshot: Snapshot, revision: str) -> str:
        """Keep an applied snapshot under the revision that Flux knows; the same again moves to the end.

        Returns when it was kept, RFC 3339, or "" where it was left out.
        """
        ...

    async def snapshot(self, revision: str) -> Snapshot:
        """Lay out an earlier snapshot, whole, in a folder of its own, with `taken`. Raises NotFound."""
        ...
