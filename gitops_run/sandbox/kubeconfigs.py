"""Kubeconfigs for the sandbox's own parts, for its administrator, and for users that tests invent."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from pathlib import Path

import yaml

from gitops_run.sandbox.certificates import Client, Pair, clients_of, issue
from gitops_run.sandbox.state import Sandbox, write_private


def write_all(sandbox: Sandbox) -> None:
    """Write the kubeconfig of the administrator and of each part that talks to the API server."""
    pki = sandbox.folder / "pki"
    for client in clients_of(sandbox):
        pair = Pair(certificate=pki / f"{client.file}.crt", key=pki / f"{client.file}.key")
        path = sandbox.kubeconfig if client.file == "admin" else part_kubeconfig(sandbox, client.file)
        write_private(path, _kubeconfig(sandbox, pair, client.user))


def part_kubeconfig(sandbox: Sandbox, client: str) -> Path:
    """Return the path of the kubeconfig of one of the sandbox's own clients."""
    return sandbox.folder / "kubeconfigs" / f"{client}.yaml"


def issue_user_kubeconfig(sandbox: Sandbox, user: str, groups: Sequence[str] = ()) -> Path:
    """Make a kubeconfig with which requests come from this user, who may do only what RBAC grants."""
    file = "user-" + re.sub(r"[^a-zA-Z0-9.-]", "-", user)
    pair = issue(sandbox.folder / "pki", "ca", Client(file=file, user=user, groups=tuple(groups)))
    path = sandbox.folder / "kubeconfigs" / f"{file}.yaml"
    write_private(path, _kubeconfig(sandbox, pair, user))
    return path


def _kubeconfig(sandbox: Sandbox, pair: Pair, user: str) -> str:
    name = sandbox.context
    cluster = {"server": sandbox.server, "certificate-authority-data": _embedded(sandbox.ca)}
    credentials = {
        "client-certificate-data": _embedded(pair.certificate),
        "client-key-data": _embedded(pair.key),
    }
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": user, "user": credentials}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": user}}],
    }
    return yaml.safe_dump(content, sort_keys=False)


def _embedded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
