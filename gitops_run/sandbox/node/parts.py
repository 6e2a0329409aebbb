"""The parts that only a real node has, and what the control plane's need for one: flags, as values."""

from __future__ import annotations

import os
from collections.abc import Mapping

from gitops_run.sandbox.certificates import Pair
from gitops_run.sandbox.kubeconfigs import part_kubeconfig
from gitops_run.sandbox.node.configuration import files_of, socket_of
from gitops_run.sandbox.node.machine import node_folder
from gitops_run.sandbox.node.network import SERVICES
from gitops_run.sandbox.node.requirements import SYSTEM_PATH
from gitops_run.sandbox.part import Part, command
from gitops_run.sandbox.state import NODE, Sandbox


def api_server_options(sandbox: Sandbox) -> Mapping[str, object]:
    """Return the API server's options that let it reach a kubelet, and pods reach it."""
    pki = sandbox.folder / "pki"
    return {
        "authorization-mode": "Node,RBAC",
        "enable-admission-plugins": "NodeRestriction",
        "endpoint-reconciler-type": "lease",
        "service-cluster-ip-range": SERVICES,
        "kubelet-certificate-authority": sandbox.ca,
        "kubelet-client-certificate": pki / "kubelet-client.crt",
        "kubelet-client-key": pki / "kubelet-client.key",
        "kubelet-preferred-address-types": "InternalIP",
    }


def node_parts(sandbox: Sandbox) -> tuple[Part, ...]:
    """Describe the parts of a real node, in the order in which they start."""
    return (_containerd(sandbox), _kubelet(sandbox), _kube_proxy(sandbox))


def _containerd(sandbox: Sandbox) -> Part:
    return Part(
        name="containerd",
        argv=command(sandbox, "containerd", {"config": files_of(sandbox.folder).containerd}),
        health=f"unix://{socket_of(sandbox.folder)}",
        authority=sandbox.ca,
        environment=_path(),
    )


def _kubelet(sandbox: Sandbox) -> Part:
    pki = sandbox.folder / "pki"
    options = {
        "config": files_of(sandbox.folder).kubelet,
        "kubeconfig": part_kubeconfig(sandbox, "kubelet"),
        "root-dir": node_folder(sandbox.folder) / "kubelet",
        "cert-dir": node_folder(sandbox.folder) / "kubelet-pki",
        "hostname-override": NODE,
        "node-ip": sandbox.address,
    }
    return Part(
        name="kubelet",
        argv=command(sandbox, "kubelet", options),
        after=("containerd", "kube-apiserver"),
        health=f"https://{sandbox.address}:{sandbox.ports['kubelet']}/healthz",
        authority=sandbox.ca,
        identity=Pair(certificate=pki / "admin.crt", key=pki / "admin.key"),
        environment=_path(),
    )


def _kube_proxy(sandbox: Sandbox) -> Part:
    health = f"{sandbox.address}:{sandbox.ports['kube-proxy']}"
    return Part(
        name="kube-proxy",
        argv=command(sandbox, "kube-proxy", {"config": files_of(sandbox.folder).kube_proxy}),
        after=("kube-apiserver",),
        health=f"http://{health}/healthz",
        authority=sandbox.ca,
        environment=_path(),
    )


def _path() -> dict[str, str]:
    """Let the parts find runc, nft and mount, which may lie where only root looks."""
    return {"PATH": os.pathsep.join((os.environ.get("PATH", ""), *SYSTEM_PATH))}
