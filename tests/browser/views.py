"""What the pages of the example sessions show: objects, pods, logs, rights, the platform, an end."""

from __future__ import annotations

from dataclasses import replace

from gitops_run.api.acting import carried_by
from gitops_run.model.flux.requests import Verb
from gitops_run.model.platform.status import CollectorRun, ComponentStatus, PlatformStatus
from gitops_run.model.session.commands import Place
from gitops_run.model.session.receipt import Receipt, ReceiptLine
from gitops_run.model.state.details import ClusterEvent, Condition, SessionDetails
from gitops_run.model.state.session_state import SessionState
from gitops_run.web.pages.view import (
    AccessLine,
    EndView,
    FileDiff,
    ObjectNode,
    OpenedObject,
    PlatformView,
    PodView,
    ReceiptView,
    Rights,
    SessionView,
    ViewerView,
    WatchView,
)
from tests.browser import states
from tests.browser.states import ago

WAY = ("--context", "kind-dev")
VIEWER = ViewerView(
    user="mara",
    groups=("developers", "checkout", "system:authenticated"),
    csrf="token",
    context="kind-dev",
    place=Place(given=WAY, cluster=WAY),
    rights=(
        "see all sessions of the cluster",
        "retry, suspend, resume, extend and undo in run-checkout and run-web-mara",
        "end run-checkout and run-web-mara",
    ),
)
DIFF = FileDiff(
    path="overlays/dev/deployment.yaml",
    lines=(
        "@@ -3,9 +3,9 @@",
        " metadata:",
        "   name: web",
        " spec:",
        "-  replicas: 2",
        "+  replicas: 3",
        "   template:",
        "     spec:",
        "       containers:",
        "-        - image: shop/web:1.41",
        "+        - image: shop/web:1.42",
    ),
)
CRASH = "back-off 40s restarting failed container=worker pod=worker-7c9d8-x2x7q"
YAML = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: worker
  namespace: run-checkout
  labels:
    app.kubernetes.io/part-of: checkout
    kustomize.toolkit.fluxcd.io/name: checkout
spec:
  replicas: 1
  selector:
    matchLabels:
      app: worker
  template:
    spec:
      containers:
        - name: worker
          image: shop/worker:1.42
          env:
            - name: QUEUE_PASSWORD
              valueFrom:
                secretKeyRef: {name: queue, key: password}
status:
  unavailableReplicas: 1
"""


def node(kind: str, name: str, status: str, *children: ObjectNode, reason: str = "") -> ObjectNode:
    group = {"Deployment": "apps", "ReplicaSet": "apps", "Ingress": "networking.k8s.io"}.get(kind, "")
    return ObjectNode(
        kind=kind,
        name=name,
        namespace="run-checkout",
        group=group,
        status=status,
        reason=reason,
        created=ago(hours=2),
        children=children,
    )


def objects() -> tuple[ObjectNode, ...]:
    web = node(
        "ReplicaSet",
        "web-6d9f7",
        "ready",
        *(node("Pod", f"web-6d9f7-{suffix}", "ready") for suffix in ("2k8ls", "8bxqw", "p4tzn")),
    )
    worker = node(
        "ReplicaSet",
        "worker-7c9d8",
        "progressing",
        node("Pod", "worker-7c9d8-x2x7q", "failed", reason=f"CrashLoopBackOff: {CRASH}"),
    )
    applier = node(
        "Kustomization",
        "checkout",
        "ready",
        node("Deployment", "web", "ready", web),
        node("Deployment", "worker", "progressing", worker, reason="0 of 1 updated replicas are available"),
        *(node("Service", name, "ready") for name in ("web", "worker")),
        node("ConfigMap", "settings-7h2k", "ready"),
        node("Secret", "queue", "ready"),
        node("Ingress", "web", "ready"),
    )
    return (node("Bucket", "checkout", "ready", applier),)


ACCESS = (
    AccessLine(subject="User mara", may="see and act", through="RoleBinding session-owner"),
    AccessLine(
        subject="ServiceAccount run-checkout/flux-run",
        may="apply what is saved, as Flux",
        through="RoleBinding flux-run",
    ),
    AccessLine(subject="Group shop", may="see all sessions", through="ClusterRoleBinding shop"),
    AccessLine(
        subject="Group platform",
        may="see, make and end all sessions",
        through="ClusterRoleBinding platform",
    ),
)


def session_view(state: SessionState | None = None) -> SessionView:
    made = state or states.session()
    last = made.record.saves[-2] if made.record and len(made.record.saves) > 1 else None
    condition = Condition(
        object=f"Kustomization {made.name}",
        type="Ready",
        status="True",
        reason="ReconciliationSucceeded",
        message=f"Applied revision: {made.source.revision if made.source else None}",
        since=ago(seconds=48),
    )
    return SessionView(
        state=made,
        rights=Rights(missing={Verb.END: f"you need the right to delete namespaces {made.namespace}"}),
        details=SessionDetails(conditions=(condition,)),
        carried_by={Verb.UNDO: "the sync of mara@mara-laptop, within seconds"},
        objects=objects(),
        pods=(
            PodView(name="web-6d9f7-2k8ls", phase="Running", containers=("web",)),
            PodView(name="web-6d9f7-8bxqw", phase="Running", containers=("web",)),
            PodView(name="worker-7c9d8-x2x7q", phase="Running", containers=("worker",), has_previous=True),
            PodView(name="db-migrate-1-c2m9f", phase="Succeeded", containers=("helm",)),
        ),
        access=ACCESS,
        diffs={(last.run, last.number): (DIFF,)} if last else {},
        extend_by="8h",
        place=Place(name="checkout", given=WAY, cluster=WAY),
        has_stack=True,
    )


def opened() -> OpenedObject:
    events = (
        ClusterEvent(
            object="Deployment worker",
            type="Normal",
            reason="ScalingReplicaSet",
            message="Scaled up to 1",
            at=ago(hours=2),
        ),
        ClusterEvent(
            object="Pod worker-7c9d8-x2x7q",
            type="Warning",
            reason="BackOff",
            message=CRASH,
            at=ago(minutes=1),
            count=14,
        ),
    )
    return OpenedObject(
        kind="Deployment", name="worker", namespace="run-checkout", group="apps", yaml=YAML, events=events
    )


def _components() -> tuple[ComponentStatus, ...]:
    flags = {"no-cross-namespace-refs": True, "no-remote-bases": True, "default-service-account": True}
    return tuple(
        ComponentStatus(
            name=name,
            namespace="flux-system",
            image=f"ghcr.io/fluxcd/{name}:v1.7.3",
            ready=1,
            wanted=1,
            is_ready=True,
            lockdown=flags
            if name != "notification-controller"
            else {**flags, "no-cross-namespace-refs": False},
            events_to="",
        )
        for name in (
            "source-controller",
            "kustomize-controller",
            "helm-controller",
            "notification-controller",
        )
    )


def platform_view() -> PlatformView:
    status = PlatformStatus(
        stack="platform",
        has_flux=True,
        flux_version="v2.8.2",
        flux_stack="platform",
        flux="installed by the stack platform",
        components=_components(),
        has_policy=True,
        roles={"gitops-run-viewer": True, "gitops-run-maker": True},
        sessions=("checkout", "search"),
        unread=(),
    )
    kinds = ("Buckets", "Kustomizations", "HelmReleases", "Leases", "Namespaces", "ConfigMaps")
    watches = tuple(
        WatchView(kind=kind, since=ago(hours=3), restarts=int(kind == "Leases")) for kind in kinds
    )
    return PlatformView(
        status=status,
        collector=CollectorRun(
            succeeded=ago(minutes=7), started=ago(minutes=7), schedule="*/10 * * * *", is_suspended=False
        ),
        watches=(*watches[:-1], replace(watches[-1], hidden="list rolebindings")),
        streams=4,
    )


def end_view() -> EndView:
    return EndView(
        state=states.session(),
        place=Place(name="checkout", given=WAY, cluster=WAY),
        has_stack=True,
        deleted=(
            "ConfigMap run-checkout/settings-7h2k",
            "Deployment.apps run-checkout/web",
            "Deployment.apps run-checkout/worker",
            "Service run-checkout/web",
            "Flux Bucket checkout",
            "Kustomization checkout",
            "Namespace run-checkout with everything in it",
        ),
        kept=("the files on the owner's machine",),
        carried_by=carried_by(Verb.END, states.session(), has_stack=False),
    )


def receipt_view() -> ReceiptView:
    lines = (
        ReceiptLine(what="Namespace run-checkout", is_gone=True),
        ReceiptLine(what="Bucket checkout", is_gone=True),
        ReceiptLine(what="Kustomization checkout", is_gone=True),
        ReceiptLine(what="RoleBinding session-owner", is_gone=False, unseen="may not be read"),
    )
    return ReceiptView(namespace="run-checkout", name="checkout", receipt=Receipt(lines=lines))
