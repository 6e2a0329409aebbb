"""The parts of a sandbox: the command line of each, what it waits for, and where it reports its health.

This module knows flags, as values; starts nothing. Every part listens on the loopback interface only, or with
a real node on the node's own address, keeps its data in the sandbox's folder, and gets secrets by file or
environment, never as an argument.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from gitops_run.model.rights.lockdown import HELM_CONTROLLER, KUSTOMIZE_CONTROLLER, SOURCE_CONTROLLER
from gitops_run.sandbox.certificates import Pair
from gitops_run.sandbox.kubeconfigs import part_kubeconfig
from gitops_run.sandbox.node.machine import inside
from gitops_run.sandbox.node.parts import api_server_options, node_parts
from gitops_run.sandbox.nodes import NODE_LEASE_S
from gitops_run.sandbox.part import Part, command, flags
from gitops_run.sandbox.state import LOOPBACK, REGION, NodeKind, Sandbox
from gitops_run.sandbox.store import Account

CLUSTER_STEP = "cluster"
"""The step after which the API server serves Flux's kinds; parts can wait for it as for another part."""


def parts_of(sandbox: Sandbox, administrator: Account) -> tuple[Part, ...]:
    """Describe every part of a sandbox, in the order in which they start.

    With a real node there is neither store nor Flux among them: both run in pods there.
    """
    if sandbox.node is NodeKind.REAL:
        within = inside(sandbox.folder)
        parts = (*_control_plane(sandbox), *node_parts(sandbox))
        return tuple(replace(part, argv=(*within, *part.argv)) for part in parts)
    return (
        *_control_plane(sandbox),
        _store(sandbox, administrator),
        _kwok(sandbox),
        *(_flux(sandbox, name) for name in (SOURCE_CONTROLLER, KUSTOMIZE_CONTROLLER, HELM_CONTROLLER)),
    )


def applier_arguments(sandbox: Sandbox) -> dict[str, tuple[str, ...]]:
    """List the tenancy flags of the controllers that apply."""
    return {name: flags(_flux_options(sandbox, name)) for name in (KUSTOMIZE_CONTROLLER, HELM_CONTROLLER)}


def _control_plane(sandbox: Sandbox) -> tuple[Part, ...]:
    return (_etcd(sandbox), _api_server(sandbox), _controller_manager(sandbox), _scheduler(sandbox))


def _etcd(sandbox: Sandbox) -> Part:
    pki = sandbox.folder / "pki"
    client, peer = (f"https://{_address(sandbox, port)}" for port in ("etcd", "etcd-peer"))
    authority = pki / "etcd-ca.crt"
    tls = {"cert-file": pki / "etcd.crt", "key-file": pki / "etcd.key", "trusted-ca-file": authority}
    return Part(
        name="etcd",
        argv=command(
            sandbox,
            "etcd",
            {
                "name": "sandbox",
                "data-dir": sandbox.folder / "etcd",
                "listen-client-urls": client,
                "advertise-client-urls": client,
                "listen-peer-urls": peer,
                "initial-advertise-peer-urls": peer,
                "initial-cluster": f"sandbox={peer}",
                "unsafe-no-fsync": "true",
                "log-level": "warn",
                "client-cert-auth": "true",
                "peer-client-cert-auth": "true",
                **tls,
                **{f"peer-{flag}": path for flag, path in tls.items()},
            },
        ),
        health=f"{client}/readyz",
        authority=authority,
        identity=Pair(certificate=pki / "etcd-client.crt", key=pki / "etcd-client.key"),
    )


def _store(sandbox: Sandbox, administrator: Account) -> Part:
    folder = sandbox.folder / "store"
    # Without keep-alive, Flux opens three connections for each object that it fetches. The price, seen with
    # 1.8: after a body with a checksum in its trailer (boto3's default), the connection's next request may
    # be refused as BadRequest; request_checksum_calculation="when_required" avoids the trailer.
    options = {
        "port": _address(sandbox, "store"),
        "region": REGION,
        "cert": sandbox.folder / "pki" / "serving.crt",
        "key": sandbox.folder / "pki" / "serving.key",
        "iam-dir": folder / "accounts",
        "health": "/healthz",
        "quiet": "true",
        "keep-alive": "true",
    }
    posix = {"versioning-dir": folder / "versions", "sidecar": folder / "metadata"}
    return Part(
        name="versitygw",
        argv=(*command(sandbox, "versitygw", options), "posix", *flags(posix), str(folder / "objects")),
        health=f"{sandbox.store}/healthz",
        authority=sandbox.ca,
        environment={"ROOT_ACCESS_KEY": administrator.access, "ROOT_SECRET_KEY": administrator.secret},
    )


def _api_server(sandbox: Sandbox) -> Part:
    pki = sandbox.folder / "pki"
    return Part(
        name="kube-apiserver",
        argv=command(
            sandbox,
            "kube-apiserver",
            {
                "etcd-servers": f"https://{_address(sandbox, 'etcd')}",
                "etcd-cafile": pki / "etcd-ca.crt",
                "etcd-certfile": pki / "etcd-client.crt",
                "etcd-keyfile": pki / "etcd-client.key",
                "bind-address": sandbox.address,
                "advertise-address": sandbox.address,
                "secure-port": sandbox.ports["kube-apiserver"],
                "tls-cert-file": pki / "serving.crt",
                "tls-private-key-file": pki / "serving.key",
                "client-ca-file": sandbox.ca,
                "service-account-issuer": "https://kubernetes.default.svc",
                "service-account-signing-key-file": pki / "service-accounts.key",
                "service-account-key-file": pki / "service-accounts.pub",
                "service-cluster-ip-range": "10.0.0.0/24",
                "authorization-mode": "RBAC",
                "allow-privileged": "true",
                "endpoint-reconciler-type": "none",
                **(api_server_options(sandbox) if sandbox.node is NodeKind.REAL else {}),
            },
        ),
        after=("etcd",),
        health=f"{sandbox.server}/readyz",
        authority=sandbox.ca,
    )


def _controller_manager(sandbox: Sandbox) -> Part:
    pki = sandbox.folder / "pki"
    extra = {
        "service-account-private-key-file": pki / "service-accounts.key",
        "use-service-account-credentials": "true",
        "root-ca-file": sandbox.ca,
    }
    return _kubernetes_client(sandbox, "kube-controller-manager", extra)


def _scheduler(sandbox: Sandbox) -> Part:
    return _kubernetes_client(sandbox, "kube-scheduler", {})


def _kubernetes_client(sandbox: Sandbox, name: str, extra: Mapping[str, object]) -> Part:
    config = part_kubeconfig(sandbox, name)
    pki = sandbox.folder / "pki"
    options = {
        "kubeconfig": config,
        "authentication-kubeconfig": config,
        "authorization-kubeconfig": config,
        "bind-address": sandbox.address,
        "secure-port": sandbox.ports[name],
        "tls-cert-file": pki / "serving.crt",
        "tls-private-key-file": pki / "serving.key",
        "leader-elect": "false",
    }
    return Part(
        name=name,
        argv=command(sandbox, name, {**options, **extra}),
        after=("kube-apiserver",),
        health=f"https://{_address(sandbox, name)}/healthz",
        authority=sandbox.ca,
    )


def _kwok(sandbox: Sandbox) -> Part:
    address = _address(sandbox, "kwok")
    options = {
        "kubeconfig": part_kubeconfig(sandbox, "kwok"),
        "manage-all-nodes": "true",
        "node-ip": LOOPBACK,
        "node-port": sandbox.ports["kwok"],
        "server-address": address,
        "tls-cert-file": sandbox.folder / "pki" / "serving.crt",
        "tls-private-key-file": sandbox.folder / "pki" / "serving.key",
        # Without it the node counts as lost after 40 s, and its pods never become ready again.
        "node-lease-duration-seconds": NODE_LEASE_S,
    }
    stages = sorted(sandbox.binaries["kwok"].with_name("stages").glob("*.yaml"))
    return Part(
        name="kwok",
        argv=(*command(sandbox, "kwok", options), *(f"--config={stage}" for stage in stages)),
        after=("kube-apiserver",),
        health=f"https://{address}/healthz",
        authority=sandbox.ca,
    )


def _flux(sandbox: Sandbox, name: str) -> Part:
    """Describe a controller of Flux, locked down as its documentation advises for many tenants."""
    health = _address(sandbox, f"{name}-health")
    # An address for events that nobody serves costs seconds in each reconcile.
    options = {"metrics-addr": "0", "health-addr": health, "events-addr": "", "log-level": "info"}
    return Part(
        name=name,
        argv=command(sandbox, name, {**options, **_flux_options(sandbox, name)}),
        after=(CLUSTER_STEP,),
        health=f"http://{health}/readyz",
        authority=sandbox.ca,
        environment={
            "KUBECONFIG": str(part_kubeconfig(sandbox, "flux")),
            "RUNTIME_NAMESPACE": "flux-system",
        },
    )


def _flux_options(sandbox: Sandbox, name: str) -> dict[str, object]:
    tenancy: dict[str, object] = {"no-cross-namespace-refs": "true", "default-service-account": "default"}
    if name == SOURCE_CONTROLLER:
        storage = _address(sandbox, name)
        return {
            "storage-path": sandbox.folder / "artifacts",
            "storage-addr": storage,
            "storage-adv-addr": storage,
        }
    if name == KUSTOMIZE_CONTROLLER:
        return {
            **tenancy,
            "no-remote-bases": "true",
            # A newer save ends the wait for the health of an older one.
            "feature-gates": "CancelHealthCheckOnNewRevision=true",
        }
    return tenancy


def _address(sandbox: Sandbox, port: str) -> str:
    return f"{sandbox.address}:{sandbox.ports[port]}"
