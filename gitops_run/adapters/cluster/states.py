"""What a cluster shows of its sessions, as facts: from labels, annotations and statuses, never from files.

Knows where each fact stands, and that a reader may see some of them only. Which of them count, and what they
come to, the reducer decides. State and record are read only of what a session's namespace or Bucket shows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import reduce as over
from typing import Final

from gitops_run.adapters.cluster.connection import Connection, Json
from gitops_run.adapters.cluster.flux import applier_path, chart_path, release_path, source_path
from gitops_run.adapters.cluster.lease import DURATION_S
from gitops_run.adapters.cluster.record import ALL_STATES, ONLY_STATES, map_path, to_record, to_summary
from gitops_run.adapters.cluster.sessions import lease_path
from gitops_run.errors import NotFound
from gitops_run.model.conditions import to_applier_status, to_source_status
from gitops_run.model.helm_release import to_helm_values, to_release_status
from gitops_run.model.session import (
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
from gitops_run.model.session_key import SessionKey
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
)

RBAC: Final = "/apis/rbac.authorization.k8s.io/v1"
_SOURCES: Final = "/apis/source.toolkit.fluxcd.io/v1/buckets"
_CHARTS: Final = "/apis/source.toolkit.fluxcd.io/v1/helmcharts"
_APPLIERS: Final = "/apis/kustomize.toolkit.fluxcd.io/v1/kustomizations"
_RELEASES: Final = "/apis/helm.toolkit.fluxcd.io/v2/helmreleases"
_LEASES: Final = "/apis/coordination.k8s.io/v1/leases"
_LABELLED: Final = {"labelSelector": SESSION_LABEL}
_OWNERS: Final = {**_LABELLED, "fieldSelector": f"metadata.name={OWNER_ROLE}"}


async def list_states(connection: Connection) -> tuple[SessionState, ...]:
    """List every session of the cluster, by name, and what is left of others. Raises NotFound without Flux.

    What this user may not see is left out, but for the Flux Buckets, without which nothing is known.
    """
    try:
        sources, *others = await asyncio.gather(
            connection.get(_SOURCES, _LABELLED),
            connection.find("/api/v1/namespaces", _LABELLED),
            connection.find(f"{RBAC}/rolebindings", _OWNERS),
            connection.find(_APPLIERS, _LABELLED),
            connection.find(_RELEASES, _LABELLED),
            connection.find(_CHARTS),
            connection.find(_LEASES, _LABELLED),
            connection.find(ALL_STATES, ONLY_STATES),
        )
    except NotFound as error:
        raise NotFound(
            f"the cluster of context {connection.context!r} has no Flux, and so no sessions",
            hint="install it: gitops-run platform up",
        ) from error
    namespaces, bindings, appliers, releases, charts, leases, maps = map(_items, others)
    labels = {item["metadata"]["name"]: item["metadata"]["labels"][SESSION_LABEL] for item in namespaces}
    # Where namespaces are seen, their label makes a session: anybody may give a ConfigMap its name.
    claims = (one for one in maps if not labels or one["metadata"]["namespace"] in labels)
    facts = (
        *((item["metadata"]["name"], namespace_fact(item)) for item in namespaces),
        *_by_namespace(_items(sources), source_fact),
        *_by_namespace(bindings, owner_fact),
        *_by_namespace(appliers, applier_fact),
        *_release_facts(releases, {_place_of(chart): chart for chart in charts}),
        *_by_namespace(leases, lease_fact),
        *_by_namespace(claims, summary_fact),
    )
    names = labels | {
        one["metadata"]["namespace"]: one["metadata"]["labels"][SESSION_LABEL] for one in _items(sources)
    }
    found = {namespace: SessionState(name=name, namespace=namespace) for namespace, name in names.items()}
    for namespace, fact in facts:
        if namespace in found:
            found[namespace] = reduce(found[namespace], fact)
    return tuple(sorted(found.values(), key=lambda state: (state.name, state.namespace)))


async def read_state(connection: Connection, key: SessionKey) -> SessionState:
    """Read one session, with its record. Raises NotFound where it doesn't exist."""
    name, namespace = key.name.text, key.namespace
    try:
        source = await connection.get(source_path(namespace, name))
    except NotFound as error:
        raise NotFound(
            f"there is no session {name} in namespace {namespace} of context {connection.context!r}",
            hint="to see what there is: gitops-run list",
        ) from error
    binding, applier, release, chart, lease, state, record = await asyncio.gather(
        connection.find(owner_path(namespace)),
        connection.find(applier_path(namespace, name)),
        connection.find(release_path(namespace, name)),
        connection.find(chart_path(namespace, chart_name(namespace, name))),
        connection.find(lease_path(namespace, name)),
        connection.find(map_path(namespace, STATE_MAP)),
        connection.find(map_path(namespace, RECORD_MAP)),
    )
    facts: list[Fact] = [source_fact(source)]
    facts += [owner_fact(binding)] if binding else []
    facts += [applier_fact(applier)] if applier else []
    facts += [release_fact(release, chart)] if release else []
    facts += [lease_fact(lease)] if lease else []
    facts += [summary_fact(state)] if state else []
    facts += [record_fact(record)] if record else []
    return over(reduce, facts, SessionState(name=name, namespace=namespace))


def namespace_fact(live: Json) -> NamespaceSeen:
    """Read a session's Namespace."""
    return NamespaceSeen(version=_version(live), created=str(live["metadata"].get("creationTimestamp") or ""))


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
    return SourceSeen(version=_version(live), source=to_source_status(live), place=place)


def owner_fact(live: Json) -> OwnerSeen:
    """Read the RoleBinding whose subject is a session's owner."""
    return OwnerSeen(version=_version(live), owner=bound_owner(live))


def applier_fact(live: Json) -> ApplierSeen:
    """Read a session's Kustomization."""
    applier = to_applier_status(live)
    return ApplierSeen(version=_version(live), target=target_of(applier.path), applier=applier)


def release_fact(release: Json, chart: Json) -> ApplierSeen:
    """Read a session's HelmRelease with its HelmChart, which may be empty."""
    applier = to_release_status(release, chart)
    return ApplierSeen(
        version=max(_version(release), _version(chart)),
        target=target_of(applier.path),
        applier=applier,
        helm=to_helm_values(release),
    )


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


def owner_path(namespace: str) -> str:
    """Write the API path of the RoleBinding whose subject is a session's owner."""
    return f"{RBAC}/namespaces/{namespace}/rolebindings/{OWNER_ROLE}"


def bound_owner(binding: Json) -> str:
    """Read a session's owner from that RoleBinding; "" where there is none."""
    subjects = binding.get("subjects") or ()
    return next((str(one["name"]) for one in subjects if one.get("kind") == "User"), "")


def _items(listing: Json) -> list[Json]:
    return list(listing.get("items") or ())


def _place_of(live: Json) -> tuple[str, str]:
    return live["metadata"]["namespace"], live["metadata"]["name"]


def _by_namespace(items: Iterable[Json], to_fact: Callable[[Json], Fact]) -> Iterator[tuple[str, Fact]]:
    return ((item["metadata"]["namespace"], to_fact(item)) for item in items)


def _release_facts(
    releases: Iterable[Json], charts: Mapping[tuple[str, str], Json]
) -> Iterator[tuple[str, Fact]]:
    for release in releases:
        namespace, name = _place_of(release)
        yield namespace, release_fact(release, charts.get((namespace, chart_name(namespace, name)), {}))


def _version(live: Json) -> int:
    """Read how new an object is: Kubernetes' versions are numbers that grow; 0 where one isn't."""
    text = str((live.get("metadata") or {}).get("resourceVersion", ""))
    return int(text) if text.isdigit() else 0


def _store(bucket: Json) -> str:
    """Tell the kind of a session's store by where its Flux Bucket fetches from."""
    if bucket.get("provider") == "aws":
        return "aws"
    return "in-cluster" if str(bucket["endpoint"]).startswith(f"{STORE_SERVER}.") else "s3"
