"""A session's Flux Bucket and what applies it: watched, fenced, and asked to reconcile.

A Kustomization applies a directory; a HelmRelease applies a chart, with a HelmChart between it and
the Bucket.

This module writes what the save protocol gives to the loop (the Bucket's spec.suspend with the fence
annotation, and the reconcile annotation) and nothing else.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Final

import anyio

from gitops_run.adapters.cluster.connection import (
    JSON_PATCH,
    ConflictError,
    Connection,
    Json,
    RejectedError,
)
from gitops_run.adapters.cluster.paths import applier_path, chart_path, release_path, source_path
from gitops_run.adapters.cluster.post_build import PostBuild, to_post_build
from gitops_run.adapters.cluster.reflector import reflect_one
from gitops_run.errors import GuardError, NotFound, WaitTimeout, ungrouped
from gitops_run.model.flux.conditions import ApplierStatus, SourceStatus, to_applier_status, to_source_status
from gitops_run.model.flux.helm_release import HelmValues, to_helm_values, to_release_status
from gitops_run.model.names import (
    CREATED_ANNOTATION,
    FENCE_ANNOTATION,
    RECONCILE_ANNOTATION,
    RESUMED_AT_ANNOTATION,
    chart_name,
)
from gitops_run.model.session.key import SessionKey
from gitops_run.model.session.limits import NO_END, Lifetime, read_lifetime
from gitops_run.model.store.permit import Permit
from gitops_run.model.text.masking import Masker

FENCE_S: Final = 20.0
LOOK_S: Final = 3.0
"""A watch whose connection was dropped without a word is silent for longer than anybody waits."""
_GONE = "the session was destroyed"


class FluxLists:
    """List each of a session's Flux objects once: whoever reads them first, `watch_flux` goes on from there.

    A list and not a get, since only a list's resourceVersion is recent enough to watch from.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lists: dict[str, Json] = {}

    async def get(self, path: str) -> Json:
        """Bring the object of this path as it is listed now. Raises NotFound."""
        collection, _, name = path.rpartition("/")
        listed = await self._connection.get(collection, {"fieldSelector": f"metadata.name={name}"})
        self._lists[collection] = listed
        if not listed["items"]:
            raise NotFound(f"there is no {path}")
        live: Json = listed["items"][0]
        return live

    def post_build(self, key: SessionKey) -> PostBuild:
        """Describe what the listed Kustomization does after the build; nothing where there is none."""
        listed = self._lists.get(applier_path(key.namespace), {})
        return next((to_post_build(live) for live in listed.get("items", ())), PostBuild())

    def take(self, collection: str) -> Json | None:
        """Hand a list on, to whoever watches from it; None where there is none."""
        return self._lists.pop(collection, None)


class WatchedFlux:
    """Hold the latest status of the session's objects. Made by `watch_flux`."""

    def __init__(
        self, connection: Connection, key: SessionKey, masker: Masker, lists: FluxLists, *, is_helm: bool
    ) -> None:
        namespace, name = key.namespace, key.name.text
        self._lists = lists
        self._connection = connection
        self._masker = masker
        self._source_path = source_path(namespace, name)
        self._applier_collection = release_path(namespace) if is_helm else applier_path(namespace)
        self._applier_path = f"{self._applier_collection}/{name}"
        self._chart_name = chart_name(namespace, name)
        self._is_helm = is_helm
        self._applier_live: Json = {}
        self._chart: Json | None = None
        self._namespace, self._name = namespace, name
        self._source: SourceStatus | None = None
        self._source_version = ""
        self._lifetime = NO_END
        self._created = ""
        self._applier: ApplierStatus | None = None
        self._is_gone = False
        self._news = anyio.Event()

    @property
    def source(self) -> SourceStatus:
        """The Bucket's status, as last seen."""
        status = self._source or SourceStatus()
        return replace(status, message=self._masker.mask(status.message)) if status.message else status

    @property
    def lifetime(self) -> Lifetime:
        """The session's limits, as last seen on the Bucket."""
        return self._lifetime

    def idle_at(self, last_save: str) -> datetime | None:
        """Say when the session's idle limit is over; None where it has none, or is suspended already.

        last_save: RFC 3339, or "".
        """
        if self._applier is None or self._applier.is_suspended:
            return None
        resumed = (self._applier_live["metadata"].get("annotations") or {}).get(RESUMED_AT_ANNOTATION, "")
        return self._lifetime.idle_at(self._created, last_save, resumed)

    @property
    def applier(self) -> ApplierStatus:
        """The status of the Kustomization or HelmRelease, as last seen."""
        status = self._applier or ApplierStatus()
        return replace(status, message=self._masker.mask(status.message)) if status.message else status

    @property
    def helm(self) -> HelmValues | None:
        """What the HelmRelease does with a chart, as last seen; None where a Kustomization applies."""
        return to_helm_values(self._applier_live) if self._is_helm else None

    @property
    def post_build(self) -> PostBuild:
        """What the Kustomization does after the build, as last seen; nothing where a HelmRelease applies."""
        return PostBuild() if self._is_helm else to_post_build(self._applier_live)

    async def changed(self) -> None:
        """Wait for the next change of either. Raises NotFound once the session was destroyed."""
        if not self._is_gone:
            await self._news.wait()
        if self._is_gone:
            raise NotFound(_GONE, hint="to recreate it: gitops-run up NAME PATH")

    async def news(self) -> None:
        """Wait for the next change; look for oneself where the watches are silent for LOOK_S.

        Raises NotFound once the session was destroyed.
        """
        with anyio.move_on_after(LOOK_S):
            await self.changed()
            return
        for path, see in ((self._source_path, self._see_source), (self._applier_path, self._see_applier)):
            try:
                self._see(await self._connection.get(path), see)
            except NotFound:
                self._see(None, see)
        if self._is_helm:
            try:
                self._see_chart(await self._connection.get(chart_path(self._namespace, self._chart_name)))
            except NotFound:
                self._see_chart(None)

    async def ready(self) -> None:
        """Wait until both were seen. Raises NotFound where one doesn't exist."""
        while self._source is None or self._applier is None:
            await self.changed()

    async def fence(self, mark: str, permit: Permit) -> None:
        """Suspend the Bucket in the name of mark, and wait until no fetch can be in flight.

        mark: never used before. permit: asked before the Bucket is patched, which fails where it has changed
        since: a process may be stopped between the two for longer than its permit holds.

        Reconciliations of one object run one after another: once one that saw this fence's token has ended,
        none that began before it is left. observedGeneration would not do: a Bucket that was never Ready
        keeps -1 (source-controller 1.9). Raises WaitTimeout.
        """
        token = f"{mark}/fence"
        annotations = {FENCE_ANNOTATION: mark, RECONCILE_ANNOTATION: token}
        with anyio.move_on_after(FENCE_S):
            while not await self._suspended(annotations, permit):
                self._see(await self._connection.get(self._source_path), self._see_source)
            while self.source.handled != token:
                await self.news()
            return
        raise WaitTimeout(
            f"Flux did not see Bucket {self._namespace}/{self._name} suspended within {FENCE_S:.0f} s",
            hint="check that source-controller runs: kubectl -n flux-system get pods",
        )

    async def _suspended(self, annotations: Mapping[str, str], permit: Permit) -> bool:
        """Suspend the Bucket; False where it is no longer as it was last seen before the permit was asked."""
        metadata = {"resourceVersion": self._source_version, "annotations": annotations}
        await permit()
        try:
            await self._connection.patch(self._source_path, {"metadata": metadata, "spec": {"suspend": True}})
        except ConflictError:
            return False
        return True

    async def release(self, mark: str, token: str) -> None:
        """Lift the fence of this mark and ask for a fetch, in one patch. Raises GuardError on another's."""
        fence = f"/metadata/annotations/{_pointer(FENCE_ANNOTATION)}"
        body: list[Json] = [
            {"op": "test", "path": fence, "value": mark},
            {"op": "remove", "path": fence},
            {"op": "add", "path": "/spec/suspend", "value": False},
            {"op": "add", "path": f"/metadata/annotations/{_pointer(RECONCILE_ANNOTATION)}", "value": token},
        ]
        try:
            await self._connection.patch(self._source_path, body, JSON_PATCH)
        except RejectedError as error:
            raise GuardError(
                "another writer has taken over the fence of this session",
                hint="to see who: gitops-run status NAME; to take it back: gitops-run sync NAME --take-over",
            ) from error

    async def request_fetch(self, token: str) -> None:
        """Ask the Bucket to be reconciled."""
        await self._request(self._source_path, token)

    async def request_apply(self, token: str) -> None:
        """Ask the Kustomization or HelmRelease to be reconciled."""
        await self._request(self._applier_path, token)

    async def _request(self, path: str, token: str) -> None:
        body: Json = {"metadata": {"annotations": {RECONCILE_ANNOTATION: token}}}
        await self._connection.patch(path, body)

    async def follow_source(self) -> None:
        """Keep `source` up to date until cancelled."""
        await self._follow(source_path(self._namespace), self._name, self._found(self._see_source))

    async def follow_applier(self) -> None:
        """Keep `applier` up to date until cancelled."""
        await self._follow(self._applier_collection, self._name, self._found(self._see_applier))

    async def follow_chart(self) -> None:
        """Keep what a HelmRelease's chart adds to `applier` up to date until cancelled."""
        if self._is_helm:
            await self._follow(chart_path(self._namespace), self._chart_name, self._see_chart)

    def _found(self, see: Callable[[Json], None]) -> Callable[[Json | None], None]:
        return partial(self._see, see=see)

    async def _follow(self, collection: str, name: str, see: Callable[[Json | None], None]) -> None:
        states = reflect_one(self._connection, collection, name, self._lists.take(collection))
        async with aclosing(states):
            async for live in states:
                see(live)
                if self._is_gone:
                    return

    def _see(self, live: Json | None, see: Callable[[Json], None]) -> None:
        if live is None or "deletionTimestamp" in live["metadata"]:
            self._is_gone = True
        else:
            see(live)
        self._tell_news()

    def _tell_news(self) -> None:
        self._news.set()
        self._news = anyio.Event()

    def _see_source(self, live: Json) -> None:
        self._source_version = live["metadata"]["resourceVersion"]
        self._source = to_source_status(live)
        annotations = live["metadata"].get("annotations") or {}
        self._lifetime = read_lifetime(annotations)
        self._created = str(annotations.get(CREATED_ANNOTATION, ""))

    def _see_applier(self, live: Json) -> None:
        self._applier_live = live
        if self._is_helm:
            self._applier = to_release_status(live, self._chart)
        else:
            self._applier = to_applier_status(live)

    def _see_chart(self, live: Json | None) -> None:
        """See the chart, which helm-controller makes and removes as it likes."""
        self._chart = live
        if self._applier_live:
            self._applier = to_release_status(self._applier_live, live)
        self._tell_news()


def _pointer(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


@asynccontextmanager
async def watch_flux(
    connection: Connection,
    key: SessionKey,
    masker: Masker | None = None,
    *,
    is_helm: bool = False,
    lists: FluxLists | None = None,
) -> AsyncIterator[WatchedFlux]:
    """Watch a session's Flux objects. Raises NotFound where they don't exist.

    masker: takes what others have learned of Secrets out of Flux's messages. lists: of what was read already.
    """
    lists = lists or FluxLists(connection)
    flux = WatchedFlux(connection, key, masker or Masker(), lists, is_helm=is_helm)
    with ungrouped():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(flux.follow_source)
            tasks.start_soon(flux.follow_applier)
            tasks.start_soon(flux.follow_chart)
            await flux.ready()
            yield flux
            tasks.cancel_scope.cancel()
