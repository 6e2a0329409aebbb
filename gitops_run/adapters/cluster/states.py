"""What a cluster shows of its sessions, as facts: from labels, annotations and statuses, never from files.

Knows where each fact stands, and that a reader may see some of them only. Which of them count, and what they
come to, the reducer decides.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import reduce as over
from typing import Final

from gitops_run.adapters.cluster.connection import Connection, Json
from gitops_run.adapters.cluster.lease import DURATION_S
from gitops_run.adapters.cluster.paths import (
    RBAC,
    applier_path,
    chart_path,
    lease_path,
    map_path,
    namespace_path,
    owner_path,
    path_of,
    release_path,
    source_path,
)
from gitops_run.adapters.cluster.record import ONLY_STATES, to_record, to_summary
from gitops_run.errors import NotFound
from gitops_run.model.flux.conditions import to_applier_status, to_source_status
from gitops_run.model.flux.helm_release import to_helm_values, to_release_status
from gitops_run.model.names import (
    CREATED_ANNOTATION,
    OWNER_ANNOTATION,
    OWNER_ROLE,
    RECORD_MAP,
    ROOT_ANNOTATION,
    SESSION_LABEL,
    STATE_MAP,
    STORE_SERVER,
    TARGET_ANNOTATION,
    chart_name,
    target_of,
)
from gitops_run.model.session.key import SessionKey
from gitops_run.model.state.session_state import (
    ApplierSeen,
    Fact,
    LeaseSeen,
    NamespaceSeen,
    OwnerSeen,
    Place,
    RecordSeen,
    SessionState,
    SourceSeen,
    SummarySeen,
    Writer,
    reduce,
    without_claims,
)

NAMESPACES: Final = "Namespaces"
"""The kind by which labels are seen."""
_LABELLED: Final = {"labelSelector": SESSION_LABEL}


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionKind:
    """Say where objects of one kind are, in all namespaces, and what each tells.

    to_fact: makes a fact of an object, None where it says nothing by itself. to_absence: makes one of the
    name of an object that is gone; None where the whole session goes with it.
    """

    name: str
    path: str
    to_fact: Callable[[Json], Fact | None]
    to_absence: Callable[[str], Fact | None] | None
    selector: Mapping[str, str] = field(default_factory=lambda: _LABELLED)

    def namespace_of(self, live: Json) -> str:
        """Name the namespace that an object tells of."""
        metadata = live["metadata"]
        return str(metadata.get("namespace") or metadata["name"])


def session_kinds() -> tuple[SessionKind, ...]:
    """List what tells of sessions, the Flux Buckets first, without which nothing is known."""
    releases = _Releases()
    return (
        SessionKind(
            name="Buckets",
            path=source_path(),
            to_fact=source_fact,
            to_absence=lambda _: SourceSeen(version=0, source=None),
        ),
        SessionKind(name=NAMESPACES, path=namespace_path(), to_fact=namespace_fact, to_absence=None),
        SessionKind(
            name="RoleBindings",
            path=path_of(RBAC, "rolebindings"),
            to_fact=owner_fact,
            to_absence=lambda _: OwnerSeen(version=0, owner=""),
            selector={**_LABELLED, "fieldSelector": f"metadata.name={OWNER_ROLE}"},
        ),
        SessionKind(
            name="Kustomizations",
            path=applier_path(),
            to_fact=applier_fact,
            to_absence=lambda name: ApplierSeen(version=0, applier=f"Kustomization {name}"),
        ),
        SessionKind(
            name="HelmReleases",
            path=release_path(),
            to_fact=releases.release_fact,
            to_absence=lambda name: ApplierSeen(version=0, applier=f"HelmRelease {name}"),
        ),
        SessionKind(
            name="HelmCharts",
            path=chart_path(),
            to_fact=releases.chart_fact,
            to_absence=releases.chart_absence,
            selector={},
        ),
        SessionKind(
            name="Leases",
            path=lease_path(),
            to_fact=lease_fact,
            to_absence=lambda _: LeaseSeen(version=0, writer=None),
        ),
        SessionKind(
            name="ConfigMaps",
            path=map_path(),
            to_fact=summary_fact,
            to_absence=lambda _: SummarySeen(version=0, summary=None),
            selector=ONLY_STATES,
        ),
    )


async def list_states(connection: Connection) -> tuple[SessionState, ...]:
    """List every session of the cluster, by name, and what is left of others. Raises NotFound without Flux.

    What this user may not see is left out, but for the Flux Buckets, without which nothing is known.
    """
    first, *others = kinds = session_kinds()
    try:
        listings = await asyncio.gather(
            connection.get(first.path, first.selector),
            *(connection.find(kind.path, kind.selector) for kind in others),
        )
    except NotFound as error:
        raise NotFound(
            f"the cluster of context {connection.context!r} has no Flux, and therefore no sessions",
            hint="install it: gitops-run platform up",
        ) from error
    states: dict[str, SessionState] = {}
    for kind, listing in zip(kinds, listings, strict=True):
        for live in listing.get("items") or ():
            namespace = kind.namespace_of(live)
            if (fact := kind.to_fact(live)) is not None:
                states[namespace] = reduce(states.get(namespace, SessionState(namespace=namespace)), fact)
    # What this user may not list is empty as a whole; a list without items says that no label is there.
    is_label_seen = any(
        bool(listing) for kind, listing in zip(kinds, listings, strict=True) if kind.name == NAMESPACES
    )
    found = (believed(state, is_label_seen=is_label_seen) for state in states.values() if state.name)
    return tuple(sorted(found, key=lambda state: (state.name, state.namespace)))


def believed(state: SessionState, *, is_label_seen: bool) -> SessionState:
    """Take an owner's word only of a namespace with a session's label.

    is_label_seen: whether this user may see the labels of namespaces at all.
    """
    return without_claims(state) if is_label_seen and not state.has_label else state


async def read_state(connection: Connection, key: SessionKey) -> SessionState:
    """Read one session, with its record. Raises NotFound where it doesn't exist."""
    name, namespace = key.name.text, key.namespace
    try:
        source = await connection.get(source_path(namespace, name))
    except NotFound as error:
        raise NotFound(
            f"there is no session {name} in namespace {namespace} of context {connection.context!r}",
            hint="to list the sessions: gitops-run list",
        ) from error
    around, binding, applier, release, chart, lease, state, record = await asyncio.gather(
        connection.find(namespace_path(namespace)),
        connection.find(owner_path(namespace)),
        connection.find(applier_path(namespace, name)),
        connection.find(release_path(namespace, name)),
        connection.find(chart_path(namespace, chart_name(namespace, name))),
        connection.find(lease_path(namespace, name)),
        connection.find(map_path(namespace, STATE_MAP)),
        connection.find(map_path(namespace, RECORD_MAP)),
    )
    facts: list[Fact] = [source_fact(source)]
    facts += [namespace_fact(around)] if _session_of(around) else []
    facts += [owner_fact(binding)] if binding else []
    facts += [applier_fact(applier)] if applier else []
    facts += [release_fact(release, chart)] if release else []
    facts += [lease_fact(lease)] if lease else []
    facts += [summary_fact(state)] if state else []
    facts += [record_fact(record)] if record else []
    return believed(over(reduce, facts, SessionState(namespace=namespace)), is_label_seen=bool(around))


def namespace_fact(live: Json) -> NamespaceSeen:
    """Read a session's Namespace."""
    metadata = live["metadata"]
    return NamespaceSeen(
        version=_version(live),
        name=_session_of(live),
        created=str(metadata.get("creationTimestamp") or ""),
    )


def source_fact(live: Json) -> SourceSeen:
    """Read a session's Flux Bucket."""
    annotations = live["metadata"].get("annotations") or {}
    place = Place(
        root=annotations.get(ROOT_ANNOTATION, ""),
        targets=(annotations.get(TARGET_ANNOTATION, "."),),
        created=annotations.get(CREATED_ANNOTATION, ""),
        store=_store(live["spec"]),
        claimed_owner=annotations.get(OWNER_ANNOTATION, ""),
    )
    return SourceSeen(
        version=_version(live), name=_session_of(live), source=to_source_status(live), place=place
    )


def owner_fact(live: Json) -> OwnerSeen:
    """Read the RoleBinding whose subject is a session's owner."""
    return OwnerSeen(version=_version(live), owner=bound_owner(live))


def applier_fact(live: Json) -> ApplierSeen:
    """Read a session's Kustomization."""
    status = to_applier_status(live)
    return ApplierSeen(
        version=_version(live),
        applier=f"Kustomization {live['metadata']['name']}",
        target=target_of(status.path),
        status=status,
    )


def release_fact(release: Json, chart: Json) -> ApplierSeen:
    """Read a session's HelmRelease with its HelmChart, which may be empty."""
    status = to_release_status(release, chart)
    return ApplierSeen(
        version=max(_version(release), _version(chart)),
        applier=f"HelmRelease {release['metadata']['name']}",
        target=target_of(status.path),
        status=status,
        helm=to_helm_values(release),
    )


class _Releases:
    """Put HelmReleases and their HelmCharts together, whichever is seen first."""

    def __init__(self) -> None:
        self._releases: dict[str, Json] = {}
        self._charts: dict[str, Json] = {}

    def release_fact(self, release: Json) -> ApplierSeen:
        metadata = release["metadata"]
        chart = chart_name(metadata["namespace"], metadata["name"])
        self._releases[chart] = release
        return release_fact(release, self._charts.get(chart, {}))

    def chart_fact(self, chart: Json) -> ApplierSeen | None:
        name = chart["metadata"]["name"]
        self._charts[name] = chart
        return release_fact(self._releases[name], chart) if name in self._releases else None

    def chart_absence(self, name: str) -> ApplierSeen | None:
        self._charts.pop(name, None)
        return release_fact(self._releases[name], {}) if name in self._releases else None


def lease_fact(live: Json) -> LeaseSeen:
    """Read a session's Lease: who holds it, and whether that was heard of lately, by this machine's clock."""
    spec = live.get("spec") or {}
    holder = str(spec.get("holderIdentity") or "")
    if not holder:
        return LeaseSeen(version=_version(live), writer=None)
    renewed = str(spec.get("renewTime") or "")
    is_live = not is_over(renewed)
    since = str(spec.get("acquireTime") or "")
    writer = Writer(holder=holder, since=since, is_live=is_live, seen="" if is_live else renewed)
    return LeaseSeen(version=_version(live), writer=writer)


def is_over(renewed: str) -> bool:
    """Say whether a Lease that was renewed then has run out. renewed: RFC 3339; what isn't has run out."""
    try:
        age = datetime.now(UTC) - datetime.fromisoformat(renewed)
    except (ValueError, TypeError):
        return True
    return age.total_seconds() > DURATION_S


def summary_fact(live: Json) -> SummarySeen:
    """Read the ConfigMap of a session's state."""
    return SummarySeen(version=_version(live), summary=to_summary(live))


def record_fact(live: Json) -> RecordSeen:
    """Read the ConfigMap of a session's record."""
    return RecordSeen(version=_version(live), record=to_record(live))


def bound_owner(binding: Json) -> str:
    """Read a session's owner from that RoleBinding; "" where there is none."""
    subjects = binding.get("subjects") or ()
    return next((str(one["name"]) for one in subjects if one.get("kind") == "User"), "")


def _session_of(live: Json) -> str:
    return str(((live.get("metadata") or {}).get("labels") or {}).get(SESSION_LABEL, ""))


def _version(live: Json) -> int:
    """Read how new an object is: Kubernetes' versions are numbers that grow; 0 where one isn't."""
    text = str((live.get("metadata") or {}).get("resourceVersion", ""))
    return int(text) if text.isdigit() else 0


def _store(bucket: Json) -> str:
    """Tell the kind of a session's store by where its Flux Bucket fetches from."""
    if bucket.get("provider") == "aws":
        return "aws"
    return "in-cluster" if str(bucket["endpoint"]).startswith(f"{STORE_SERVER}.") else "s3"
