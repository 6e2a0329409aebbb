"""Find sessions in a cluster: from their labels, annotations and Secrets, never from anyone's files."""

from __future__ import annotations

import base64
from dataclasses import dataclass, replace

from gitops_run.adapters.cluster.connection import Connection, Json
from gitops_run.adapters.cluster.flux import FluxLists
from gitops_run.adapters.cluster.forward import PodPort
from gitops_run.adapters.cluster.paths import (
    applier_path,
    chart_path,
    lease_path,
    release_path,
    secret_path,
    source_path,
)
from gitops_run.errors import BackendError, NotFound
from gitops_run.model.flux.conditions import ApplierStatus, SourceStatus, to_applier_status, to_source_status
from gitops_run.model.flux.helm_release import HelmValues, to_helm_values, to_release_status
from gitops_run.model.names import (
    ROOT_ANNOTATION,
    SESSION_LABEL,
    TARGET_ANNOTATION,
    WRITER_SECRET,
    chart_name,
)
from gitops_run.model.session.key import SessionKey
from gitops_run.model.store.objects import StoreAccess


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSession:
    """Hold what a loop needs to know of a session. helm: None where no chart is applied.

    writer: who holds the session's lease, who may have been killed since; otherwise "".
    """

    name: str
    namespace: str
    target: str
    root: str
    source: SourceStatus
    applier: ApplierStatus | None = None
    writer: str = ""
    helm: HelmValues | None = None


async def read_session(
    connection: Connection, key: SessionKey, lists: FluxLists | None = None
) -> LiveSession:
    """Read one session for what acts on it. Raises NotFound where it doesn't exist.

    lists: reads the Flux objects for who watches them next, and may list them.
    """
    name, namespace = key.name.text, key.namespace
    flux = lists or connection
    try:
        source = await flux.get(source_path(namespace, name))
    except NotFound as error:
        raise NotFound(
            f"there is no session {name} in namespace {namespace} of context {connection.context!r}",
            hint="to list the sessions: gitops-run list",
        ) from error
    applier = await present(flux, applier_path(namespace, name))
    lease = await present(connection, lease_path(namespace, name))
    session = _session(source, applier, lease)
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


def _session(source: Json, applier: Json, lease: Json) -> LiveSession:
    metadata = source["metadata"]
    annotations = metadata.get("annotations") or {}
    return LiveSession(
        name=metadata["labels"][SESSION_LABEL],
        namespace=metadata["namespace"],
        target=annotations.get(TARGET_ANNOTATION, "."),
        root=annotations.get(ROOT_ANNOTATION, ""),
        source=to_source_status(source),
        applier=to_applier_status(applier) if applier else None,
        writer=str(lease.get("spec", {}).get("holderIdentity") or ""),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterAccess:
    """Hold how the loop reaches its bucket. pod: the port through which it does, where no other way is."""

    access: StoreAccess
    bucket: str
    pod: PodPort | None = None


async def read_writer_access(connection: Connection, namespace: str) -> WriterAccess:
    """Read the writer's key: how to reach the store, and the bucket's name.

    Raises BackendError where this user may not read it: it is the owner's alone.
    """
    path = secret_path(namespace, WRITER_SECRET)
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
