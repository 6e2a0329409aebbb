"""A cluster as the page sees it: sessions on a board, rights by a list, and what is read of one session."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import httpx
from anyio.streams.memory import MemoryObjectSendStream

from gitops_run.adapters.cluster.collector_run import read_collector_run
from gitops_run.adapters.cluster.connection import Connection
from gitops_run.adapters.cluster.paths import source_path
from gitops_run.api.caller import Caller
from gitops_run.api.viewing import SEE_ALL, ViewRequest
from gitops_run.api.watch import KindPulse
from gitops_run.errors import BackendError, DeniedError, GitOpsRunError, NotFound
from gitops_run.flows.board import Board
from gitops_run.model.flux.conditions import SourceStatus
from gitops_run.model.flux.requests import Request, parse_request
from gitops_run.model.names import REQUEST_ANNOTATION, SessionName
from gitops_run.model.objects.identity import ObjectRef
from gitops_run.model.platform.collector import COLLECTOR
from gitops_run.model.platform.status import CollectorRun, PlatformStatus
from gitops_run.model.rights.right import Identity, Right
from gitops_run.model.session.key import SessionKey
from gitops_run.model.state.close_up import Bound, CloseUp, LogLine, LogRequest, ObjectText
from gitops_run.model.state.envelope import EventStream, Stamp
from gitops_run.model.state.session_state import Place, SessionState, TargetState, Writer
from gitops_run.web.app import make_app, open_site
from gitops_run.web.login import Login
from gitops_run.web.site import Site

HOST = "127.0.0.1:8000"
COOKIE = "gitops-run-8000"
REVISION = f"sha256:{'a' * 64}"


def session(name: str = "web", namespace: str = "", **more: Any) -> SessionState:
    """Make a session that is applied and that alice syncs."""
    place = Place(root="shop", targets=("deploy",), created="2026-11-26T10:00:00Z", store="s3")
    return SessionState(
        namespace=namespace or f"run-{name}",
        name=name,
        **{
            "namespace_created": "2026-11-26T10:00:00Z",
            "owner": "alice",
            "place": place,
            "source": SourceStatus(revision=REVISION, ready="True"),
            "targets": (
                TargetState(target="deploy", object=f"Kustomization {name}", applied=REVISION, ready="True"),
            ),
            "synced_by": Writer(holder="alice@laptop/1/x", since="2026-11-26T10:00:00Z", is_live=True),
            **more,
        },
    )


class FakeWatch:
    """Hold sessions on a board. Stands for api.watch.SessionWatch."""

    def __init__(self) -> None:
        self.board: Board[str, SessionState, SessionState] = Board(lambda _, new: new)
        self.hidden: set[str] = set()
        self.pulses = [KindPulse("Buckets", self._report)]
        self.pulses[0].opened()
        self._pulsed = anyio.Event()

    def _report(self) -> None:
        if hasattr(self, "_pulsed"):
            self._pulsed.set()
            self._pulsed = anyio.Event()

    @property
    def cut_at(self) -> datetime | None:
        return min((one.cut_at for one in self.pulses if one.cut_at), default=None)

    async def pulse(self) -> None:
        await self._pulsed.wait()

    async def sessions(self) -> AsyncGenerator[tuple[SessionState, ...], None]:
        async with aclosing(self.board.watch()) as snapshots:
            async for snapshot in snapshots:
                yield tuple(snapshot.states.values())


class Recorder:
    """Take what is asked of the cluster. Stands for a Connection."""

    context = "kind-dev"
    cluster = "uid"

    def __init__(self) -> None:
        self.patched: list[tuple[str, Any]] = []
        self.created: list[tuple[str, Any]] = []
        self.refuses_events = False
        self.there: set[str] = set()
        self.cron_job: dict[str, Any] = {}
        self.has_policies = True

    async def patch(self, path: str, body: Any, content_type: str = "") -> Any:
        self.patched.append((path, body))
        return {}

    async def create(self, path: str, body: Any) -> Any:
        if path.endswith("selfsubjectreviews"):
            return {"status": {"userInfo": {"username": "alice", "groups": ["team"]}}}
        if self.refuses_events and path.endswith("/events"):
            raise BackendError("events is forbidden")
        self.created.append((path, body))
        return {}

    async def get(self, path: str, query: object = None) -> Any:
        if path in self.there or (self.has_policies and "/admissionregistration.k8s.io/" in path):
            return {}
        if path.endswith("/namespaces/kube-system"):
            return {"metadata": {"uid": self.cluster}}
        if self.cron_job and path.endswith(f"/cronjobs/{COLLECTOR}"):
            return self.cron_job
        raise NotFound(path)

    find = Connection.find


class FakeViewing:
    """Look at a cluster in memory. Stands for api.viewing.Viewing. denied: the rights that are lacking."""

    def __init__(self, sessions: Iterable[SessionState] = (), reports: list[str] | None = None) -> None:
        self.watch = FakeWatch()
        self.denied: set[Right] = set()
        self.reviews: list[Right] = []
        self.close_ups: dict[str, CloseUp] = {}
        self.lines: list[LogLine] = []
        self.narrowed_to: tuple[object, ...] | None = None
        self.watched: list[object] = []
        self.has_endless_logs = False
        self.log_trouble: GitOpsRunError | None = None
        self.trouble: GitOpsRunError | None = None
        self.is_slow = False
        self.connection = Recorder()
        self.cluster = self.connection.cluster
        self.request = ViewRequest(kubeconfig="/k", context="kind-dev")
        self.caller = caller(reports)
        for one in sessions:
            self.show(one)

    def key(self, namespace: str, name: str) -> SessionKey:
        request = self.request
        return SessionKey(
            kubeconfig=request.kubeconfig,
            context=request.context,
            namespace=namespace,
            name=SessionName(name),
        )

    def show(self, state: SessionState) -> None:
        self.watch.board.post(state.namespace, state)

    async def places(self) -> tuple[object, ...] | None:
        if self.trouble is not None:
            raise self.trouble
        return self.narrowed_to

    @asynccontextmanager
    async def watching(self, places: object) -> AsyncGenerator[FakeWatch, None]:
        self.watched.append(places)
        yield self.watch

    async def identity(self) -> Identity:
        return Identity("alice", ("team",))

    async def allowed(self, wanted: Sequence[Right]) -> tuple[bool, ...]:
        self.reviews += wanted
        return tuple(right not in self.denied for right in wanted)

    async def state(self, namespace: str, name: str) -> SessionState:
        if isinstance(self.trouble, DeniedError):
            raise self.trouble
        found = self.watch.board.snapshot.states.get(namespace)
        if found is None or found.name != name:
            raise NotFound(f"there is no session {name}")
        request = self._request(namespace, name)
        source = replace(found.source, request=request) if found.source and request else found.source
        return replace(found, source=source)

    def _request(self, namespace: str, name: str) -> Request | None:
        """Find what was asked last, as the cluster would have it."""
        path = source_path(namespace, name)
        said = [
            body["metadata"].get("annotations") or {} for at, body in self.connection.patched if at == path
        ]
        found = [parse_request(one) for one in said if REQUEST_ANNOTATION in one]
        return found[-1] if found else None

    async def close_up(self, namespace: str, name: str) -> CloseUp:
        if self.trouble is not None:
            raise self.trouble
        if self.is_slow:
            await anyio.sleep(60)
        return self.close_ups.get(namespace, CloseUp())

    async def object_text(self, namespace: str, ref: ObjectRef) -> ObjectText:
        return ObjectText(text=f"kind: {ref.kind}\n")

    async def bound(self, namespace: str) -> tuple[Bound, ...]:
        return (Bound(subject="User alice", role="session-owner", through="RoleBinding session-owner"),)

    async def follow_logs(self, request: LogRequest, lines: MemoryObjectSendStream[LogLine]) -> None:
        if self.log_trouble is not None:
            raise self.log_trouble
        for line in self.lines:
            await lines.send(line)
        if self.has_endless_logs:
            await anyio.sleep_forever()

    async def collector_run(self) -> CollectorRun | None:
        return await read_collector_run(self.connection)  # type: ignore[arg-type]

    async def platform(self) -> PlatformStatus:
        raise BackendError("you may not see the platform")


def caller(reports: list[str] | None = None) -> Caller:
    """Make a caller that keeps what is reported."""

    async def confirm(_: str) -> bool:
        return False

    kept = reports if reports is not None else []
    return Caller(
        environment={"HOME": "/nowhere", "XDG_DATA_HOME": "/nowhere/data", "XDG_CONFIG_HOME": "/nowhere/c"},
        here=Path("/nowhere"),
        events=EventStream(Stamp("", lambda: "")),
        report=kept.append,
        tell=lambda _: None,
        confirm=confirm,
        unfinished=lambda _: aclosing(None),  # type: ignore[arg-type,return-value,type-var]
    )


class Browser:
    """Ask the application as a browser that is logged in does."""

    def __init__(self, site: Site, client: httpx.AsyncClient, login: Login) -> None:
        self.site = site
        self.client = client
        self.login = login

    async def get(self, url: str, **headers: str) -> httpx.Response:
        return await self.client.get(url, headers=headers)

    async def post(self, url: str, csrf: str | None = None, **fields: Any) -> httpx.Response:
        token = self.login.csrf if csrf is None else csrf
        return await self.client.post(
            url, data={"csrf": token, **fields}, headers={"Sec-Fetch-Site": "same-origin"}
        )


@asynccontextmanager
async def browsing(viewing: FakeViewing) -> AsyncIterator[Browser]:
    """Open the site of a cluster in memory, and a browser that is logged in."""
    async with open_site(viewing, viewing.caller, frozenset({HOST}), COOKIE) as site:  # type: ignore[arg-type]
        transport = httpx.ASGITransport(make_app(site))
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{HOST}") as client:
            login = site.logins.enter(site.logins.new_token())
            assert login is not None
            client.cookies.set(COOKIE, login.key)
            yield Browser(site, client, login)


def now() -> datetime:
    return datetime.now(UTC)


__all__ = ["COOKIE", "HOST", "SEE_ALL", "Browser", "FakeViewing", "browsing", "session"]
