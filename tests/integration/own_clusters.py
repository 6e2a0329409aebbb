"""A control plane of a module's own, and people who are known to it by their names alone."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import yaml

from gitops_run.sandbox import lifecycle
from gitops_run.sandbox.kubeconfigs import issue_user_kubeconfig
from gitops_run.sandbox.lifecycle import is_up
from gitops_run.sandbox.state import NodeKind, Sandbox, sandbox_folder
from tests.conftest import SANDBOX, homes
from tests.people import Person


@contextmanager
def own_sandbox_of(module: str) -> Iterator[Sandbox]:
    """Start a control plane that no other module uses: a platform is a whole cluster's."""
    name = f"{SANDBOX}-{module}"
    if is_up(sandbox_folder(name)):
        lifecycle.stop(name)
    shutil.rmtree(sandbox_folder(name), ignore_errors=True)  # what a run that was killed has left
    yield lifecycle.start(name, node=NodeKind.SIMULATED)
    lifecycle.stop(name)


def someone(sandbox: Sandbox, home: Path) -> Person:
    return Person(env={**os.environ, **sandbox.env, **homes(home)}, cwd=home)


def user_of(sandbox: Sandbox, person: Person, user: str) -> Person:
    """Make somebody with a home and settings of their own, known to the cluster by their name alone."""
    kubeconfig = issue_user_kubeconfig(sandbox, user)
    home = person.cwd / user.partition("@")[0]
    home.mkdir()
    person = someone(sandbox, home)
    settings = home / "settings.yaml"
    said = yaml.safe_load(sandbox.settings.read_text())
    settings.write_text(yaml.safe_dump({**said, "kubeconfig": str(kubeconfig)}))
    settings.chmod(0o600)
    env = {"KUBECONFIG": str(kubeconfig), "GITOPS_RUN_SETTINGS": str(settings)}
    return replace(person, env={**person.env, **env})


def bind(engineer: Person, role: str, user: str) -> None:
    """Give a user one of the platform's ClusterRoles."""
    name = user.partition("@")[0]
    engineer.kubectl("create", "clusterrolebinding", name, f"--clusterrole={role}", f"--user={user}")
