"""How long `list` takes with 200 sessions: their objects and states are written here, and no loop runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
from anyio import to_thread

from benchmarks.board import held
from benchmarks.figures import p50, seconds
from benchmarks.session import Bench
from gitops_run.adapters.cluster.connection import Connection, Json, connect
from gitops_run.model.names import LOOP_KEY, OWNER_ROLE, ROOT_ANNOTATION, SESSION_LABEL, STATE_MAP
from gitops_run.model.state.saves import Outcome
from gitops_run.model.state.summary import SaveSummary, Summary
from gitops_run.model.state.texts import summary_text

SESSIONS = 200
RUNS = 5
REVISION = f"sha256:{64 * 'a'}"
WHEN = "2026-01-01T10:00:00Z"
SAVE = SaveSummary(run=1, number=9, at=WHEN, outcome=Outcome.APPLIED, took_ms=412, files=2)
STATE = summary_text(Summary(run=1, seq=90, branch="main", last=SAVE, recent_ms=(300,) * 30))
INVENTORY = {"entries": [{"id": f"run-list_app-{number}_apps_Deployment", "v": "v1"} for number in range(10)]}
READY = {"type": "Ready", "status": "True", "reason": "Succeeded", "message": f"Applied revision: {REVISION}"}
CONDITIONS = [{**READY, "lastTransitionTime": WHEN}]
RBAC = "rbac.authorization.k8s.io"


def measure_list_200(bench: Bench) -> dict[str, Any]:
    """Measure the time until `list` has printed 200 sessions."""
    return {"list_200_ms": anyio.run(_measure, bench)}


async def _measure(bench: Bench) -> float:
    names = [f"list-{number}" for number in range(SESSIONS)]
    async with (
        connect(bench.kubeconfig, bench.sandbox.context) as connection,
        sessions_without_loops(connection, names),
    ):
        return await to_thread.run_sync(_list, bench)


def _list(bench: Bench) -> float:
    person = bench.person(bench.folder)
    listed = person.succeeds("list", "-o", "json").json
    assert sum(one["name"].startswith("list-") for one in listed) == SESSIONS
    return p50(seconds(lambda: person.succeeds("list")) * 1000 for _ in range(RUNS))


@asynccontextmanager
async def sessions_without_loops(connection: Connection, names: Sequence[str]) -> AsyncIterator[None]:
    """Make what is seen of sessions of these names, and remove it."""
    limiter = anyio.CapacityLimiter(20)

    async def make(name: str) -> None:
        async with limiter:
            for path, body in _objects(name):
                await connection.create(path, body)
            for path, status in _statuses(name):
                await connection.patch(f"{path}/status", {"status": status})

    try:
        async with anyio.create_task_group() as tasks:
            for name in names:
                tasks.start_soon(make, name)
        yield
    finally:
        with anyio.CancelScope(shield=True):
            async with anyio.create_task_group() as tasks:
                for name in names:
                    tasks.start_soon(connection.delete, f"/api/v1/namespaces/run-{name}")


def _paths(name: str) -> tuple[str, str]:
    within = f"namespaces/run-{name}"
    return (
        f"/apis/source.toolkit.fluxcd.io/v1/{within}/buckets",
        f"/apis/kustomize.toolkit.fluxcd.io/v1/{within}/kustomizations",
    )


def _objects(name: str) -> tuple[tuple[str, Json], ...]:
    """List what a session consists of, each with the collection that it goes into. Flux leaves it alone."""
    within = f"namespaces/run-{name}"
    buckets, kustomizations = _paths(name)
    flux = {"interval": "24h", "suspend": True}
    source = {**flux, "bucketName": name, "endpoint": "s3.example.com"}
    applier = {**flux, "sourceRef": {"kind": "Bucket", "name": name}, "path": "./src", "prune": True}
    owner = {"apiGroup": RBAC, "kind": "User", "name": f"{name}@example.com"}
    role = {"apiGroup": RBAC, "kind": "Role", "name": OWNER_ROLE}

    def of(called: str, **more: Any) -> Json:
        marks = {"labels": {SESSION_LABEL: name}, "annotations": {ROOT_ANNOTATION: "web"}}
        return {"metadata": {"name": called, **marks}, **more}

    return (
        ("/api/v1/namespaces", of(f"run-{name}")),
        (f"/apis/{RBAC}/v1/{within}/rolebindings", of(OWNER_ROLE, roleRef=role, subjects=[owner])),
        (f"/apis/coordination.k8s.io/v1/{within}/leases", of(name, spec=held("alice@laptop/1/x"))),
        (f"/api/v1/{within}/configmaps", of(STATE_MAP, data={LOOP_KEY: STATE})),
        (buckets, of(name, apiVersion="source.toolkit.fluxcd.io/v1", kind="Bucket", spec=source)),
        (
            kustomizations,
            of(name, apiVersion="kustomize.toolkit.fluxcd.io/v1", kind="Kustomization", spec=applier),
        ),
    )


def _statuses(name: str) -> tuple[tuple[str, Json], ...]:
    buckets, kustomizations = _paths(name)
    revisions = {"lastAppliedRevision": REVISION, "lastAttemptedRevision": REVISION}
    return (
        (f"{buckets}/{name}", {"conditions": CONDITIONS}),
        (f"{kustomizations}/{name}", {**revisions, "conditions": CONDITIONS, "inventory": INVENTORY}),
    )
