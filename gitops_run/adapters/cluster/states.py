"""What a cluster shows of its sessions, as facts: from labels, annotations and statuses, never from files.

This module knows where each fact stands, and that a reader may see some of them only. Which of them count,
and what they come to, the reducer decides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from gitops_run.adapters.cluster.connection import Json
from gitops_run.adapters.cluster.lease import DURATION_S
from gitops_run.adapters.cluster.paths import (
    RBAC,
    applier_path,
    chart_path,
    lease_path,
    map_path,
    namespace_path,
    path_of,
    release_path,
    source_path,
)
from gitops_run.adapters.cluster.record import ONLY_STATES, to_record, to_summary
from gitops_run.model.flux.conditions import to_applier_status, to_source_status
from gitops_run.model.flux.helm_release import to_helm_values, to_release_status
from gitops_run.model.names import (
    CREATED_ANNOTATION,
    ISOLATION_ANNOTATION,
    OWNER_ANNOTATION,
    OWNER_ROLE,
    RESUMED_AT_ANNOTATION,
    ROOT_ANNOTATION,
    SESSION_LABEL,
    STATE_MAP,
    STORE_SERVER,
    SUSPENDED_AT_ANNOTATION,
    SUSPENDED_BY_ANNOTATION,
    SUSPENDED_REASON_ANNOTATION,
    TARGET_ANNOTATION,
    chart_name,
    target_of,
)
from gitops_run.model.rights.pod_security import pod_security_of
from gitops_run.model.session.limits import read_lifetime
from gitops_run.model.state.session_state import (
    ApplierSeen,
    Fact,
    LeaseSeen,
    NamespaceSeen,
    OwnerSeen,
    Place,
    RecordSeen,
    SourceSeen,
    SummarySeen,
    Suspension,
    Writer,
)

SOURCES: Final = "Buckets"
NAMESPACES: Final = "Namespaces"
LEASES: Final = "Leases"
LABELLED: Final = {"labelSelector": SESSION_LABEL}


@dataclass(frozen=True, slots=True)
class SessionAt:
    """Name a namespace and the session in it; "" where the name isn't known yet.

    is_named: a person named the namespace, so that a refusal there is an error.
    """

    namespace: str
    name: str = ""
    is_named: bool = False


def _by_session(place: SessionAt) -> str:
    return place.name


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionKind:
    """Describe the collection of one kind, in all namespaces, and how its objects become facts.

    to_fact: makes a fact of an object, None if it is no fact on its own. to_absence: makes one of the
    name of an object that is gone; None where the whole session goes with it. object_name: of the one object
    of this kind that describes the session in a place. namespace, object_path: of it, in what `within` made.
    """

    name: str
    path: str
    to_fact: Callable[[Json], Fact | None]
    to_absence: Callable[[str], Fact | None] | None
    selector: Mapping[str, str] = field(default_factory=lambda: LABELLED)
    object_name: Callable[[SessionAt], str] = _by_session
    namespace: str = ""
    object_path: str = ""

    def namespace_of(self, live: Json) -> str:
        """Name the namespace that an object describes."""
        metadata = live["metadata"]
        return str(metadata.get("namespace") or metadata["name"])

    def within(self, place: SessionAt) -> SessionKind:
        """Narrow it to one session: by name, since RBAC may allow one object of a kind and not all."""
        group, _, plural = self.path.rpartition("/")
        path = self.path if self.name == NAMESPACES else f"{group}/namespaces/{place.namespace}/{plural}"
        name = self.object_name(place)
        selector = {**self.selector, "fieldSelector": f"metadata.name={name}"}
        return replace(
            self, path=path, selector=selector, namespace=place.namespace, object_path=f"{path}/{name}"
        )


def session_kinds() -> tuple[SessionKind, ...]:
    """List the collections that describe sessions, the Flux Buckets first, without which nothing is known."""
    releases = _Releases()
    return (
        SessionKind(
            name=SOURCES,
            path=source_path(),
            to_fact=source_fact,
            to_absence=lambda _: SourceSeen(version=0, source=None),
        ),
        SessionKind(
            name=NAMESPACES,
            path=namespace_path(),
            to_fact=namespace_fact,
            to_absence=None,
            object_name=lambda place: place.namespace,
        ),
        SessionKind(
            name="RoleBindings",
            path=path_of(RBAC, "rolebindings"),
            to_fact=owner_fact,
            to_absence=lambda _: OwnerSeen(version=0, owner=""),
            selector={**LABELLED, "fieldSelector": f"metadata.name={OWNER_ROLE}"},
            object_name=lambda _: OWNER_ROLE,
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
            object_name=lambda place: chart_name(place.namespace, place.name),
        ),
        SessionKind(
            name=LEASES,
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
            object_name=lambda _: STATE_MAP,
        ),
    )


def namespace_fact(live: Json) -> NamespaceSeen | None:
    """Read a session's Namespace; any other says nothing."""
    name, created = session_of(live), str(live["metadata"].get("creationTimestamp") or "")
    level = pod_security_of(live["metadata"].get("labels") or {})
    seen = NamespaceSeen(version=_version(live), name=name, created=created, pod_security=level)
    return seen if name else None


def source_fact(live: Json) -> SourceSeen:
    """Read a session's Flux Bucket."""
    annotations = live["metadata"].get("annotations") or {}
    place = Place(
        root=annotations.get(ROOT_ANNOTATION, ""),
        targets=(annotations.get(TARGET_ANNOTATION, "."),),
        created=annotations.get(CREATED_ANNOTATION, ""),
        store=_store(live["spec"]),
        claimed_owner=annotations.get(OWNER_ANNOTATION, ""),
        lifetime=read_lifetime(annotations),
        endpoint=live["spec"].get("endpoint", ""),
        bucket=live["spec"].get("bucketName", ""),
        isolation=annotations.get(ISOLATION_ANNOTATION, ""),
    )
    return SourceSeen(
        version=_version(live), name=session_of(live), source=to_source_status(live), place=place
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
        suspension=_suspension(live),
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
        suspension=_suspension(release),
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
    """Report whether a Lease that was renewed then has run out. renewed: RFC 3339; what isn't has run out."""
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


def _suspension(applier: Json) -> Suspension:
    annotations = applier["metadata"].get("annotations") or {}
    return Suspension(
        by=annotations.get(SUSPENDED_BY_ANNOTATION, ""),
        reason=annotations.get(SUSPENDED_REASON_ANNOTATION, ""),
        at=annotations.get(SUSPENDED_AT_ANNOTATION, ""),
        resumed_at=annotations.get(RESUMED_AT_ANNOTATION, ""),
    )


def session_of(live: Json) -> str:
    """Read which session an object is part of, by its label; "" for none."""
    return str(((live.get("metadata") or {}).get("labels") or {}).get(SESSION_LABEL, ""))


def _version(live: Json) -> int:
    """Read how new an object is: Kubernetes' versions are numbers that grow; 0 where one isn't."""
    text = str((live.get("metadata") or {}).get("resourceVersion", ""))
    return int(text) if text.isdigit() else 0


def _store(bucket: Json) -> str:
    """Determine the kind of a session's store from the endpoint of its Flux Bucket."""
    if bucket.get("provider") == "aws":
        return "aws"
    return "in-cluster" if str(bucket["endpoint"]).startswith(f"{STORE_SERVER}.") else "s3"
