"""Find sessions in a cluster: from their labels, annotations and Secrets, never from anyone's files."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import dataclass, replace
from typing import Final

from gitops_run.adapters.cluster.connection import Connection, Json
from gitops_run.adapters.cluster.flux import FluxLists, applier_path, chart_path, release_path, source_path
from gitops_run.adapters.cluster.forward import PodPort
from gitops_run.errors import BackendError, NotFound
from gitops_run.model.conditions import ApplierStatus, SourceStatus, to_applier_status, to_source_status
from gitops_run.model.helm_release import HelmValues, to_helm_values, to_release_status
from gitops_run.model.session import (
    CREATED_ANNOTATION,
    OWNER_ANNOTATION,
    OWNER_ROLE,
    REFUSED_ANNOTATION,
    ROOT_ANNOTATION,
    SESSION_LABEL,
    STORE_SERVER,
    TARGET_ANNOTATION,
    TIMINGS_ANNOTATION,
    UNDONE_ANNOTATION,
    WRITER_SECRET,
    chart_name,
)
from gitops_run.model.session_key import SessionKey
from gitops_run.model.store import StoreAccess
from gitops_run.model.timings import Timings, parse_timings

_ALL: Final = "/apis/source.toolkit.fluxcd.io/v1/buckets"
_RBAC: Final = "/apis/rbac.authorization.k8s.io/v1"
_OWNERS: Final = {"labelSelector": SESSION_LABEL, "fieldSelector": f"metadata.name={OWNER_ROLE}"}


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSession:
    """Hold what the cluster says of a session. created: RFC 3339. helm: None where no chart is applied.

    owner: who is bound to the owner's Role. is_owner_claimed: that may not be read, and the owner is what an
    annotation says, which the owner may be able to change.
    store: where its bucket is, as the setting says it: in-cluster, s3 or aws.
    refused: why the last save was refused, "" where it was not.
    is_incomplete: an `up` or a `down` has ended amid its work, and there is no Flux Bucket.
    writer, renewed: who holds the session's lease, who may have been killed since, and when it was last seen,
    RFC 3339; else "". undone_to: the revision that an undo brought back, until the next save; else "".
    """

    name: str
    namespace: str
    owner: str
    target: str
    root: str
    created: str
    store: str
    source: SourceStatus
    applier: ApplierStatus | None = None
    writer: str = ""
    renewed: str = ""
    timings: Timings | None = None
    undone_to: str = ""
    helm: HelmValues | None = None
    is_owner_claimed: bool = False
    refused: str = ""
    is_incomplete: bool = False


async def list_sessions(connection: Connection) -> tuple[LiveSession, ...]:
    """List every session of the cluster, by name, and what is left of others. Raises NotFound without Flux.

    What is left without a Flux Bucket is listed as far as this user may list namespaces.
    """
    labelled = {"labelSelector": SESSION_LABEL}
    try:
        listed, bindings, namespaces = await asyncio.gather(
            connection.get(_ALL, labelled),
            connection.find(f"{_RBAC}/rolebindings", _OWNERS),
            connection.find("/api/v1/namespaces", labelled),
        )
    except NotFound as error:
        raise NotFound(
            f"the cluster of context {connection.context!r} has no Flux, and so no sessions",
            hint="install it: gitops-run platform up",
        ) from error
    owners = {item["metadata"]["namespace"]: item for item in bindings.get("items", ())}
    found = [_session(item, owners.get(item["metadata"]["namespace"])) for item in listed["items"]]
    whole = {session.namespace for session in found}
    left = (one for one in namespaces.get("items", ()) if one["metadata"]["name"] not in whole)
    found += [_incomplete(item, owners.get(item["metadata"]["name"])) for item in left]
    return tuple(sorted(found, key=lambda session: session.name))


def _incomplete(namespace: Json, binding: Json | None) -> LiveSession:
    """Describe a session by its namespace alone."""
    metadata = namespace["metadata"]
    return LiveSession(
        name=metadata["labels"][SESSION_LABEL],
        namespace=metadata["name"],
        owner=bound_owner(binding or {}),
        target="",
        root="",
        created=str(metadata.get("creationTimestamp") or ""),
        store="",
        source=to_source_status({"metadata": {}}),
        is_incomplete=True,
    )


def owner_path(namespace: str) -> str:
    """Write the API path of the RoleBinding whose subject is a session's owner."""
    return f"{_RBAC}/namespaces/{namespace}/rolebindings/{OWNER_ROLE}"


def bound_owner(binding: Json) -> str:
    """Read a session's owner from that RoleBinding; "" where there is none."""
    subjects = binding.get("subjects") or ()
    return next((str(one["name"]) for one in subjects if one.get("kind") == "User"), "")


async def read_session(
    connection: Connection, key: SessionKey, lists: FluxLists | None = None
) -> LiveSession:
    """Read one session with its status and its writer. Raises NotFound where it doesn't exist.

    lists: reads the Flux objects for who watches them next, and may list them.
    """
    name, namespace = key.name.text, key.namespace
    flux = lists or connection
    try:
        source = await flux.get(source_path(namespace, name))
    except NotFound as error:
        raise NotFound(
            f"there is no session {name} in namespace {namespace} of context {connection.context!r}",
            hint="to see what there is: gitops-run list",
        ) from error
    applier = await present(flux, applier_path(namespace, name))
    lease = await present(connection, f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{name}")
    binding = await connection.find(owner_path(namespace))
    session = _session(source, binding, applier, lease)
    return session if applier else await _with_release(flux, session)


async def _with_release(flux: Connection | FluxLists, session: LiveSession) -> LiveSession:
    """Add the HelmRelease of a session that has no Kustomization."""
    namespace, name = session.namespace, session.name
    release = await present(flux, release_path(namespace, name))
    if not release:
        return session
    chart = await present(flux, chart_path(namespace, chart_name(namespace, name)))
    return replace(session, helm=to_helm_values(release), applier=to_release_status(release, chart))


async def present(reader: Connection | FluxLists, path: str) -> Json:
    """Get what may be absent: nothing then. What this user may not see is an error, since it may be there."""
    try:
        return await reader.get(path)
    except NotFound:
        return {}


def _session(
    source: Json, binding: Json | None, applier: Json | None = None, lease: Json | None = None
) -> LiveSession:
    metadata = source["metadata"]
    annotations = metadata.get("annotations") or {}
    owner = bound_owner(binding or {})
    notes = (lease or {}).get("metadata", {}).get("annotations") or {}
    held = (lease or {}).get("spec", {})
    writer = str(held.get("holderIdentity") or "")
    return LiveSession(
        name=metadata["labels"][SESSION_LABEL],
        namespace=metadata["namespace"],
        owner=owner or annotations.get(OWNER_ANNOTATION, ""),
        is_owner_claimed=not owner,
        target=annotations.get(TARGET_ANNOTATION, "."),
        root=annotations.get(ROOT_ANNOTATION, ""),
        created=annotations.get(CREATED_ANNOTATION, ""),
        store=_store(source["spec"]),
        source=to_source_status(source),
        applier=to_applier_status(applier) if applier else None,
        writer=writer,
        renewed=str(held.get("renewTime") or "") if writer else "",
        timings=parse_timings(notes.get(TIMINGS_ANNOTATION, "")),
        undone_to=notes.get(UNDONE_ANNOTATION, ""),
        refused=notes.get(REFUSED_ANNOTATION, ""),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterAccess:
    """Hold how the loop reaches its bucket. pod: the port through which it does, where no other way is."""

    access: StoreAccess
    bucket: str
    pod: PodPort | None = None


def _store(bucket: Json) -> str:
    """Tell the kind of a session's store by where its Flux Bucket fetches from."""
    if bucket.get("provider") == "aws":
        return "aws"
    return "in-cluster" if str(bucket["endpoint"]).startswith(f"{STORE_SERVER}.") else "s3"


async def read_writer_access(connection: Connection, namespace: str) -> WriterAccess:
    """Read the writer's key: how to reach the store, and the bucket's name.

    Raises BackendError where this user may not read it: it is the owner's alone.
    """
    path = f"/api/v1/namespaces/{namespace}/secrets/{WRITER_SECRET}"
    data = {
        key: base64.b64decode(value).decode() for key, value in (await connection.get(path))["data"].items()
    }
    missing = {"endpoint", "region", "bucket", "accesskey", "secretkey"} - data.keys()
    if missing:
        raise BackendError(
            f"Secret {namespace}/{WRITER_SECRET} lacks {', '.join(sorted(missing))}",
            hint="to write it again: gitops-run up NAME",
        )
    access = StoreAccess(
        endpoint=data["endpoint"],
        region=data["region"],
        access_key=data["accesskey"],
        secret_key=data["secretkey"],
        ca_cert=data.get("ca.crt", ""),
    )
    pod, _, port = data.get("forward", "").rpartition(":")
    target = PodPort(namespace=namespace, pod=pod, port=int(port)) if pod else None
    return WriterAccess(access=access, bucket=data["bucket"], pod=target)
