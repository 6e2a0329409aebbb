"""The health of a session's objects, from a list and then watches: of their kinds, their pods and events.

A list at the beginning makes sure that nothing older than what was applied is judged. A kind that this user
may not see is left out, once and for all. What is ready because it exists isn't looked at.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Final

import anyio

from gitops_run.adapters.cluster.connection import Connection, Json
from gitops_run.adapters.cluster.discovery import Discovery
from gitops_run.adapters.cluster.paths import collection_path, path_of, pod_path
from gitops_run.adapters.cluster.reflector import Gone, Listed, News, Seen, reflect
from gitops_run.errors import BackendError, GitOpsRunError, NotFound, TransientError, ungrouped
from gitops_run.model.health.pod_troubles import LOG_LINES, Surroundings, explained_health
from gitops_run.model.health.rules import READY, Crash, Health, absent_health, has_health, is_workload
from gitops_run.model.objects.identity import ObjectRef
from gitops_run.model.text.echoes import without_values
from gitops_run.model.text.masking import Masker

PODS: Final = "pods"
REPLICA_SETS: Final = "replicasets"
EVENTS: Final = "events"
GATHER_S: Final = 0.1
"""How long after a judgement the next one waits for more to come: a rollout causes thousands of changes."""
GATHER_SHARE: Final = 4.0
"""How many times as long as the judgement took: one of 3,000 workloads takes 0.1 s, and each change asks."""


@dataclass(slots=True, kw_only=True)
class _Collection:
    """Hold the objects of one path as they are. is_refused: this user may not see them."""

    path: str
    kind: str
    api_version: str
    objects: dict[str, Json] = field(default_factory=dict)
    is_listed: bool = False
    is_refused: bool = False

    def update(self, news: News) -> None:
        match news:
            case Listed(items):
                self.objects = {item["metadata"]["name"]: self._named(item) for item in items}
                self.is_listed = True
            case Seen(live):
                self.objects[live["metadata"]["name"]] = self._named(live)
            case Gone(name=name):
                self.objects.pop(name, None)

    def _named(self, live: Json) -> Json:
        """Add what the API server leaves out of the members of a list."""
        return {"kind": self.kind, "apiVersion": self.api_version, **live}


class ClusterHealth:
    """Watch the health of objects in one namespace. Fulfils flows.health.HealthWatch."""

    def __init__(self, connection: Connection, namespace: str, masker: Masker | None = None) -> None:
        """masker: takes what others have learned of Secrets out of messages, events and logs."""
        self._connection = connection
        self._masker = masker or Masker()
        self._namespace = namespace
        self._kinds = Discovery(connection)
        self._refused: set[str] = set()

    async def changes(self, objects: tuple[ObjectRef, ...]) -> AsyncIterator[Mapping[ObjectRef, Health]]:
        """Yield the health of every object at first and then whenever one changes.

        What comes within GATHER_S of the last judgement is judged together. An object whose kind this user
        may not watch is in none of them. Raises TransientError.
        """
        view = _View(objects)
        for ref in objects:
            if has_health(ref):
                await self._add(view, ref)
        self._add_surroundings(view)
        with ungrouped(TransientError):
            async with anyio.create_task_group() as tasks:
                for collection in view.collections.values():
                    tasks.start_soon(self._follow, collection, view)
                last: Mapping[ObjectRef, Health] | None = None
                while True:
                    news, judged_at = view.news, anyio.current_time()
                    judged = view.health() if view.is_complete else None
                    took_s = anyio.current_time() - judged_at
                    seen = last if judged is None else await self._with_logs(judged, last or {})
                    if seen is not None and seen != last:
                        last = seen
                        try:
                            yield seen
                        except GeneratorExit:  # whoever looked is done: a task group would wrap this
                            tasks.cancel_scope.cancel()
                            return
                    await news.wait()
                    if last is not None:
                        await anyio.sleep_until(judged_at + max(GATHER_S, GATHER_SHARE * took_s))

    async def _add(self, view: _View, ref: ObjectRef) -> None:
        try:
            resource = await self._kinds.find(ref)
        except BackendError as error:
            if isinstance(error, TransientError):
                raise
            resource = None
        if resource is None:
            return
        path = collection_path(ref, resource, self._namespace)
        view.places[ref] = path
        api_version = f"{ref.group}/{ref.version}" if ref.group else ref.version
        self._include(view, path, ref.kind, api_version)

    def _add_surroundings(self, view: _View) -> None:
        """Follow pods and events alongside the objects that they describe."""
        kinds = {ref.kind for ref in view.places}
        ns = self._namespace
        if any(is_workload(ref) for ref in view.places):
            self._include(view, path_of("v1", PODS, ns), "Pod", "v1")
        if "Deployment" in kinds:
            self._include(view, path_of("apps/v1", REPLICA_SETS, ns), "ReplicaSet", "apps/v1")
        if "PersistentVolumeClaim" in kinds or any(is_workload(ref) for ref in view.places):
            self._include(view, path_of("v1", EVENTS, ns), "Event", "v1")

    def _include(self, view: _View, path: str, kind: str, api_version: str) -> None:
        if path not in view.collections:
            is_refused = path in self._refused
            view.collections[path] = _Collection(
                path=path, kind=kind, api_version=api_version, is_refused=is_refused
            )

    async def _follow(self, collection: _Collection, view: _View) -> None:
        if collection.is_refused:
            return
        try:
            async with aclosing(reflect(self._connection, collection.path)) as all_news:
                async for news in all_news:
                    collection.update(news)
                    view.report()
        except (BackendError, NotFound):
            collection.is_refused = True
            self._refused.add(collection.path)
            view.report()

    async def _with_logs(
        self, seen: Mapping[ObjectRef, Health], last: Mapping[ObjectRef, Health]
    ) -> Mapping[ObjectRef, Health]:
        """Add the last lines of what has crashed, read only where the health is another than before."""
        found = {
            ref: replace(health, message=self._masker.mask(without_values(health.message)))
            if health.message
            else health
            for ref, health in seen.items()
        }
        for ref, health in found.items():
            before = last.get(ref)
            if health.crash is None:
                continue
            if before is not None and replace(before, log=()) == health:
                found[ref] = before
            else:
                found[ref] = replace(health, log=await self._log(health.crash))
        return found

    async def _log(self, crash: Crash) -> tuple[str, ...]:
        """Read the last lines of the container that crashed: of its life before, else of its only one."""
        path = f"{pod_path(self._namespace, crash.pod)}/log"
        query = {"container": crash.container, "tailLines": str(LOG_LINES)}
        for life in ({"previous": "true"}, {}):
            try:
                text = await self._connection.get_text(path, {**query, **life})
            except GitOpsRunError:  # a log that can't be read must not hide that it crashed
                continue
            return tuple(self._masker.mask(text).splitlines()[-LOG_LINES:])
        return ()


class _View:
    """Hold what is known of the objects that are followed. places: in which collection each lies."""

    def __init__(self, objects: tuple[ObjectRef, ...]) -> None:
        self._objects = objects
        self.places: dict[ObjectRef, str] = {}
        self.collections: dict[str, _Collection] = {}
        self.news = anyio.Event()

    def report(self) -> None:
        self.news.set()
        self.news = anyio.Event()

    @property
    def is_complete(self) -> bool:
        return all(entry.is_listed or entry.is_refused for entry in self.collections.values())

    def health(self) -> Mapping[ObjectRef, Health]:
        return dict(self._judged())

    def _judged(self) -> Iterator[tuple[ObjectRef, Health]]:
        around = Surroundings(
            pods=self._all("Pod"), replica_sets=self._all("ReplicaSet"), events=self._all("Event")
        )
        for ref in self._objects:
            if not has_health(ref):
                yield ref, READY
            elif ref in self.places and not self.collections[self.places[ref]].is_refused:
                live = self.collections[self.places[ref]].objects.get(ref.name)
                yield ref, absent_health(ref) if live is None else explained_health(live, around)

    def _all(self, kind: str) -> tuple[Json, ...]:
        return tuple(
            live
            for collection in self.collections.values()
            if collection.kind == kind
            for live in collection.objects.values()
        )
