"""Look at a cluster's sessions for one person: all that is read here is read with that person's rights."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from anyio.streams.memory import MemoryObjectSendStream

from gitops_run.adapters.cluster import rights
from gitops_run.adapters.cluster.close_up import read_close_up
from gitops_run.adapters.cluster.collector_run import read_collector_run
from gitops_run.adapters.cluster.connection import Connection, connect
from gitops_run.adapters.cluster.discovery import Discovery
from gitops_run.adapters.cluster.facts import read_cluster_uid
from gitops_run.adapters.cluster.listing import all_located, places_to_list, read_state
from gitops_run.adapters.cluster.object_text import read_bound, read_object_text
from gitops_run.adapters.cluster.platform import PlatformCluster
from gitops_run.adapters.cluster.pod_logs import follow_logs
from gitops_run.adapters.cluster.states import SessionAt
from gitops_run.api.caller import Caller
from gitops_run.api.listing import own_places
from gitops_run.api.watch import SessionWatch, watch_sessions
from gitops_run.errors import BackendError
from gitops_run.model.names import SessionName
from gitops_run.model.objects.identity import ObjectRef
from gitops_run.model.platform.objects import MAKER_ROLE, VIEWER_ROLE
from gitops_run.model.platform.status import CollectorRun, PlatformStatus, to_status
from gitops_run.model.rights.access import FLUX_SOURCE_GROUP
from gitops_run.model.rights.right import Identity, Right
from gitops_run.model.session.key import SessionKey
from gitops_run.model.state.close_up import Bound, CloseUp, LogLine, LogRequest, ObjectText
from gitops_run.model.state.session_state import SessionState

SEE_ALL = Right(verb="list", resource="buckets", group=FLUX_SOURCE_GROUP)


def see_one(state: SessionState) -> Right:
    """Name the right to see one session: its Flux Bucket, as `kubectl get` does."""
    return Right(
        verb="get", resource="buckets", group=FLUX_SOURCE_GROUP, namespace=state.namespace, name=state.name
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewRequest:
    """Say which cluster. namespaces: none for all that this user may see."""

    kubeconfig: str
    context: str
    namespaces: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewing:
    """Hold one person's way to one cluster. Made by open_viewing.

    cluster: the UID of its kube-system namespace, "" where this person may not read it.
    """

    connection: Connection
    request: ViewRequest
    caller: Caller
    discovery: Discovery
    cluster: str

    def key(self, namespace: str, name: str) -> SessionKey:
        """Identify a session; the name is the one that its objects have, whatever that is."""
        request = self.request
        return SessionKey(
            kubeconfig=request.kubeconfig,
            context=request.context,
            namespace=namespace,
            name=SessionName(name),
        )

    async def places(self) -> tuple[SessionAt, ...] | None:
        """Choose which sessions to watch; None stands for all of the cluster. Raises BackendError."""
        request, caller = self.request, self.caller
        own = own_places(request.context, caller.environment, caller.here)
        wanted = await places_to_list(self.connection, request.namespaces, own)
        return await all_located(self.connection, wanted)

    @asynccontextmanager
    async def watching(self, places: Sequence[SessionAt] | None) -> AsyncGenerator[SessionWatch, None]:
        """Watch sessions while inside. Raises NotFound without Flux, BackendError without a right."""
        async with watch_sessions(self.connection, places) as watch:
            yield watch

    async def identity(self) -> Identity:
        """Ask the cluster who this is. Raises BackendError."""
        return await rights.identity(self.connection)

    async def allowed(self, wanted: Sequence[Right]) -> tuple[bool, ...]:
        """Ask which of these rights this person has, in their order. Raises BackendError."""
        return await rights.allowed(self.connection, wanted)

    async def state(self, namespace: str, name: str) -> SessionState:
        """Read one session now. Raises NotFound where there is none."""
        return await read_state(self.connection, self.key(namespace, name))

    async def close_up(self, namespace: str, name: str) -> CloseUp:
        """Read a session's record, objects and pods. Raises TransientError."""
        return await read_close_up(self.connection, self.discovery, self.key(namespace, name))

    async def object_text(self, namespace: str, ref: ObjectRef) -> ObjectText:
        """Read an object as YAML. Raises NotFound, BackendError."""
        return await read_object_text(self.connection, self.discovery, ref, namespace)

    async def bound(self, namespace: str) -> tuple[Bound, ...]:
        """List who is bound to roles of a session, as far as this person may see it."""
        return await read_bound(self.connection, namespace, (VIEWER_ROLE, MAKER_ROLE, "cluster-admin"))

    async def follow_logs(self, request: LogRequest, lines: MemoryObjectSendStream[LogLine]) -> None:
        """Send the lines of a session's pods until cancelled. Raises BackendError without the right."""
        await follow_logs(self.connection, request, lines)

    async def platform(self) -> PlatformStatus:
        """Look how the platform is. Raises BackendError."""
        cluster = PlatformCluster(self.request.kubeconfig, self.request.context)
        return to_status(await cluster.facts())

    async def collector_run(self) -> CollectorRun | None:
        """Look when the collector ran last; None where that isn't known. Raises TransientError."""
        return await read_collector_run(self.connection)


@asynccontextmanager
async def open_viewing(request: ViewRequest, caller: Caller) -> AsyncGenerator[Viewing, None]:
    """Open a way to a cluster while inside. Raises UsageError on a kubeconfig that can't be used."""
    async with connect(request.kubeconfig, request.context) as connection:
        cluster = ""
        with suppress(BackendError):
            cluster = await read_cluster_uid(connection)
        yield Viewing(
            connection=connection,
            request=request,
            caller=caller,
            discovery=Discovery(connection),
            cluster=cluster,
        )
