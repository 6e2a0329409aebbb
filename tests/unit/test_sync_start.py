"""What a sync asks the cluster for until its first save."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from gitops_run.adapters.cluster.flux import FluxLists, watch_flux
from gitops_run.adapters.cluster.sessions import read_session
from gitops_run.api import sync
from gitops_run.api.caller import Caller
from gitops_run.api.sync import SyncRequest
from gitops_run.errors import NotFound
from gitops_run.flows.ports import SteadyStore
from gitops_run.model.names import SESSION_LABEL, SessionName
from gitops_run.model.session.key import SessionKey
from gitops_run.model.session.settings import Origin, Source, resolve
from gitops_run.model.state.envelope import EventStream, Stamp
from tests.fakes import FakeStore
from tests.virtual_time import scenario

KEY = SessionKey(kubeconfig="/k", context="kind-dev", namespace="run-web", name=SessionName.parse("web"))
_SOURCES = "/apis/source.toolkit.fluxcd.io/v1/namespaces/run-web"
BUCKETS, CHARTS = f"{_SOURCES}/buckets", f"{_SOURCES}/helmcharts"
KUSTOMIZATIONS = "/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/run-web/kustomizations"
RELEASES = "/apis/helm.toolkit.fluxcd.io/v2/namespaces/run-web/helmreleases"


def live(name: str = "web", **spec: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "run-web", "labels": {SESSION_LABEL: "web"}}
    return {"metadata": {**metadata, "resourceVersion": "3", "generation": 1}, "spec": spec}


BUCKET = live(endpoint="s3:9000")
KUSTOMIZATION = live(postBuild={"substitute": {"A": "1"}}, decryption={})


@dataclass
class FakeApi:
    """An API server that notes what is asked of it. objects, changes: by collection. version: of lists."""

    objects: dict[str, list[dict[str, Any]]]
    version: str = "7"
    context: str = "kind-dev"
    asked: list[str] = field(default_factory=list)
    watched_from: dict[str, str] = field(default_factory=dict)
    changes: dict[str, dict[str, Any]] = field(default_factory=dict)

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        self.asked.append(path)
        if query is not None:
            wanted = query["fieldSelector"].removeprefix("metadata.name=")
            items = [one for one in self.objects.get(path, ()) if one["metadata"]["name"] == wanted]
            return {"metadata": {"resourceVersion": self.version}, "items": items}
        collection, _, name = path.rpartition("/")
        for one in self.objects.get(collection, ()):
            if one["metadata"]["name"] == name:
                return one
        raise NotFound(path)

    async def find(self, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        return {}

    async def watch(
        self, path: str, query: Mapping[str, str], opened: object = None
    ) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        self.watched_from[path] = query["resourceVersion"]
        if path in self.changes:
            changed = self.changes[path]
            yield "MODIFIED", {**changed, "metadata": {**changed["metadata"], "resourceVersion": "8"}}
        await anyio.sleep_forever()

    def asks_of(self, collection: str) -> int:
        return sum(path.startswith(collection) for path in self.asked)


def caller(folder: Path) -> Caller:
    async def confirm(question: str) -> bool:
        raise AssertionError(question)

    return Caller(
        environment={"HOME": str(folder)},
        here=folder,
        events=EventStream(Stamp("web", lambda: ""), print),
        report=print,
        tell=print,
        confirm=confirm,
        unfinished=lambda _: nullcontext(),
    )


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[FakeApi], Any]:
    """Open a sync on a fake API server and an empty store, as the command does."""

    @asynccontextmanager
    async def reached_store(*_: object) -> AsyncIterator[Any]:
        yield FakeStore(), SteadyStore()

    def opened(api: FakeApi) -> Any:
        monkeypatch.setattr(sync, "connect", lambda *_: nullcontext(api))
        monkeypatch.setattr(sync, "reached_store", reached_store)
        source = Source(origin=Origin.FLAG, values={"kubeconfig": "/k", "context": "kind-dev"})
        request = SyncRequest(key=KEY, settings=resolve([source]), root=tmp_path)
        return sync._opened(request, caller(tmp_path))

    return opened


def test_a_sync_reads_what_applies_its_session_once(opened: Callable[[FakeApi], Any]) -> None:
    api = FakeApi({BUCKETS: [BUCKET], KUSTOMIZATIONS: [KUSTOMIZATION]})

    @scenario
    async def start() -> None:
        async with opened(api) as found:
            await found.inspector._compose()

    start()
    assert (api.asks_of(KUSTOMIZATIONS), api.asks_of(BUCKETS)) == (1, 1)
    assert (api.watched_from[KUSTOMIZATIONS], api.watched_from[BUCKETS]) == ("7", "7")


def test_a_sync_of_a_chart_reads_its_release_once() -> None:
    chart, release = live("run-web-web"), live(releaseName="web", chart={"spec": {"chart": "."}})
    api = FakeApi({BUCKETS: [BUCKET], RELEASES: [release], CHARTS: [chart]})

    @scenario
    async def start() -> None:
        connection: Any = api
        lists = FluxLists(connection)
        session = await read_session(connection, KEY, lists)
        assert session.helm is not None
        async with watch_flux(connection, KEY, is_helm=True, lists=lists) as flux:
            await anyio.sleep(1)
            assert flux.helm == session.helm

    start()
    assert (api.asks_of(RELEASES), api.asks_of(CHARTS), api.asks_of(KUSTOMIZATIONS)) == (1, 1, 1)


@scenario
async def test_what_changed_since_it_was_read_is_seen() -> None:
    connection: Any = FakeApi({BUCKETS: [BUCKET], KUSTOMIZATIONS: [KUSTOMIZATION]})
    connection.changes[KUSTOMIZATIONS] = live(postBuild={"substitute": {"A": "2"}})
    lists = FluxLists(connection)
    await read_session(connection, KEY, lists)
    assert lists.post_build(KEY).has_decryption_key
    async with watch_flux(connection, KEY, lists=lists) as flux:
        while flux.post_build.has_decryption_key:
            await flux.changed()
        assert flux.post_build.variables is not None
        assert flux.post_build.variables.values == {"A": "2"}


@scenario
async def test_a_session_that_is_not_there_is_not_found_by_a_list_either() -> None:
    connection: Any = FakeApi({})
    with pytest.raises(NotFound, match="there is no session web in namespace run-web"):
        await read_session(connection, KEY, FluxLists(connection))
    other = replace(KEY, name=SessionName.parse("shop"))
    connection = FakeApi({BUCKETS: [BUCKET]})
    with pytest.raises(NotFound, match="there is no session shop"):
        await read_session(connection, other, FluxLists(connection))
