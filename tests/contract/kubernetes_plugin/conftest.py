"""The scene of the recordings: a cluster, a namespace of its own, and a bucket for Flux."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Callable, Iterator

import pytest

from gitops_run.sandbox.state import Sandbox
from tests.contract.kubernetes_plugin import store
from tests.contract.kubernetes_plugin.plugin import Plugin, kubectl, running
from tests.contract.kubernetes_plugin.recordings import Scene

Meddle = Callable[..., str]


@pytest.fixture(scope="module")
def meddle(sandbox: Sandbox) -> Meddle:
    """Change something in the cluster behind Pulumi's back, by a kubectl command."""

    def run(*arguments: str) -> str:
        command = [kubectl(), "--kubeconfig", str(sandbox.kubeconfig), "--context", sandbox.context]
        return subprocess.run([*command, *arguments], capture_output=True, text=True, check=True).stdout

    return run


@pytest.fixture(scope="module")
def scene(sandbox: Sandbox, meddle: Meddle) -> Iterator[Scene]:
    """A place where recordings can be played."""
    name = f"golden-{secrets.token_hex(3)}"
    with store.served() as address:
        yield Scene(name=name, kubeconfig=str(sandbox.kubeconfig), context=sandbox.context, store=address)
        meddle("delete", "namespace", name, "--ignore-not-found", "--wait=false")
        meddle("delete", "clusterrole", f"{name}-reader", "--ignore-not-found")


@pytest.fixture
def plugin() -> Iterator[Plugin]:
    """The plugin that is under test, running."""
    with running() as started:
        yield started
