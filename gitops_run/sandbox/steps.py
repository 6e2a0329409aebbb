"""What a sandbox needs in addition to running parts before it is ready."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from gitops_run.sandbox import nodes
from gitops_run.sandbox.node.dns import READY_PATH, dns_objects
from gitops_run.sandbox.node.images import ensure_archives
from gitops_run.sandbox.node.importing import import_missing
from gitops_run.sandbox.parts import CLUSTER_STEP, applier_arguments
from gitops_run.sandbox.state import NodeKind, Sandbox
from gitops_run.sandbox.web import ApiServer

NODE_STEP = "node"
IMAGES_STEP = "images"
DNS_STEP = "name server"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Describe a step: what it waits for, what it does once, and what shows that it is done."""

    name: str
    after: tuple[str, ...]
    begin: Callable[[], None]
    is_done: Callable[[], bool]


def steps_of(sandbox: Sandbox, api: ApiServer) -> tuple[Step, ...]:
    """Describe every step of a sandbox."""
    return _with_real_node(sandbox, api) if sandbox.node is NodeKind.REAL else _with_kwok(sandbox, api)


def _with_kwok(sandbox: Sandbox, api: ApiServer) -> tuple[Step, ...]:
    kinds = tuple(nodes.flux_kinds())
    namespace = nodes.flux_namespace(applier_arguments(sandbox))
    cluster = Step(
        name=CLUSTER_STEP,
        after=("kube-apiserver",),
        begin=lambda: api.apply((nodes.node(), namespace, *kinds)),
        # A definition is announced as established before its kind can be discovered.
        is_done=lambda: all(map(api.serves, kinds)),
    )
    node = Step(
        name=NODE_STEP,
        after=(CLUSTER_STEP, "kwok"),
        begin=_nothing,
        is_done=lambda: nodes.has_ready_node(api.get(nodes.NODES_PATH)),
    )
    return (cluster, node)


def _with_real_node(sandbox: Sandbox, api: ApiServer) -> tuple[Step, ...]:
    began = datetime.now(UTC).replace(microsecond=0)
    node = Step(
        name=NODE_STEP,
        after=("kube-apiserver", "kubelet"),
        begin=_nothing,
        is_done=lambda: nodes.has_ready_node(api.get(nodes.NODES_PATH), since=began),
    )
    images = Step(
        name=IMAGES_STEP,
        after=("containerd",),
        begin=lambda: import_missing(sandbox, ensure_archives(sandbox.binaries, lambda _: None)),
        is_done=lambda: True,
    )
    names = Step(
        name=DNS_STEP,
        after=(NODE_STEP, IMAGES_STEP, "kube-proxy"),
        begin=lambda: api.apply(dns_objects()),
        is_done=lambda: api.is_ok(READY_PATH),
    )
    return (node, images, names)


def _nothing() -> None:
    """Do nothing: the step is to wait."""
