"""A person whose cluster is far away: behind a proxy, with a login by an exec plugin."""

from __future__ import annotations

import base64
import json
import uuid
from dataclasses import dataclass
from pathlib import Path

import yaml

from gitops_run.model.names import WRITER_SECRET
from gitops_run.sandbox.state import LOOPBACK, Sandbox, write_private
from tests.people import Person
from tests.remote.network import Network

CONTEXT = "far"
API_HOST = "api.far.test:6443"
ACCOUNT_NAMESPACE = "far-people"
ACCOUNT = "dev"
API_VERSION = "client.authentication.k8s.io/v1"
PLUGIN = (
    """#!/bin/sh
cd "$(dirname "$0")"
echo run >> runs
sleep "$(cat delay)"
if test -s failure; then cat failure >&2; exit 1; fi
printf '{"apiVersion": "%s", "kind": "ExecCredential", "status": {"token": "%s"}}' \\
  """
    f"{API_VERSION} "
    """"$(cat token)"
"""
)


@dataclass(frozen=True, slots=True)
class Login:
    """An exec plugin whose answers a test decides on, and the account that its tokens are for."""

    folder: Path
    admin: Person

    @classmethod
    def made(cls, folder: Path, admin: Person) -> Login:
        """Write the plugin, and give its account every right."""
        folder.mkdir()
        (folder / "login").write_text(PLUGIN)
        (folder / "login").chmod(0o700)
        login = cls(folder, admin)
        admin.kubectl("create", "namespace", ACCOUNT_NAMESPACE)
        admin.kubectl("create", "serviceaccount", ACCOUNT, "-n", ACCOUNT_NAMESPACE)
        binding = ("create", "clusterrolebinding", f"{ACCOUNT_NAMESPACE}-{ACCOUNT}")
        admin.kubectl(
            *binding, "--clusterrole=cluster-admin", f"--serviceaccount={ACCOUNT_NAMESPACE}:{ACCOUNT}"
        )
        login.takes(0)
        login.fails("")
        login.renews()
        return login

    @property
    def runs(self) -> int:
        return len((self.folder / "runs").read_text().splitlines())

    def takes(self, seconds: float) -> None:
        (self.folder / "delay").write_text(f"{seconds}")

    def fails(self, words: str) -> None:
        """Let it end with an error from now on; "" for no more."""
        (self.folder / "failure").write_text(words)

    def renews(self) -> None:
        """Print another token from now on, and have the API server refuse the one before.

        It remembers for ten seconds that a token was good.
        """
        before = (self.folder / "name").read_text() if (self.folder / "name").exists() else ""
        name = f"token-{uuid.uuid4().hex[:8]}"
        self.admin.kubectl("create", "secret", "generic", name, "-n", ACCOUNT_NAMESPACE)
        bound = ("--bound-object-kind=Secret", f"--bound-object-name={name}")
        token = self.admin.kubectl("create", "token", ACCOUNT, "-n", ACCOUNT_NAMESPACE, *bound)
        write_private(self.folder / "token", token.strip())
        (self.folder / "name").write_text(name)
        if before:
            self.admin.kubectl("delete", "secret", before, "-n", ACCOUNT_NAMESPACE)

    def close(self) -> None:
        self.admin.kubectl("delete", "clusterrolebinding", f"{ACCOUNT_NAMESPACE}-{ACCOUNT}")
        self.admin.kubectl("delete", "namespace", ACCOUNT_NAMESPACE, "--wait=false")


def far_person(sandbox: Sandbox, network: Network, login: Login, person: Person) -> Person:
    """Lead a person through a network's proxy to the API server, as whom the login says."""
    folder = login.folder
    proxy = network.proxy({API_HOST: sandbox.ports["kube-apiserver"]}, "me:a-password")
    cluster = {
        "server": f"https://{API_HOST}",
        "tls-server-name": "localhost",
        "certificate-authority-data": encoded(sandbox.ca),
        "proxy-url": f"http://me:a-password@{LOOPBACK}:{proxy}",
    }
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": CONTEXT,
        "clusters": [{"name": "far", "cluster": cluster}],
        "users": [
            {
                "name": "dev",
                "user": {
                    "exec": {
                        "apiVersion": API_VERSION,
                        "command": "./login",
                        "interactiveMode": "Never",
                    }
                },
            }
        ],
        "contexts": [{"name": CONTEXT, "context": {"cluster": "far", "user": "dev"}}],
    }
    settings = yaml.safe_load(sandbox.settings.read_text())
    kubeconfig = folder / "kubeconfig"
    settings |= {"kubeconfig": str(kubeconfig), "context": CONTEXT, "allowContexts": [CONTEXT]}
    write_private(kubeconfig, yaml.safe_dump(config))
    write_private(folder / "settings.yaml", yaml.safe_dump(settings))
    env = {"GITOPS_RUN_SETTINGS": str(folder / "settings.yaml"), "KUBECONFIG": str(kubeconfig)}
    return Person(env={**person.env, **env}, cwd=person.cwd)


def move_store(admin: Person, namespace: str, port: int) -> None:
    """Lead a session's writer, and not Flux, to the store through another port."""
    endpoint = base64.b64encode(f"https://{LOOPBACK}:{port}".encode()).decode()
    patch = json.dumps({"data": {"endpoint": endpoint}})
    admin.kubectl("patch", "secret", WRITER_SECRET, "-n", namespace, "-p", patch)


def encoded(path: Path) -> str:
    """Write a file as kubeconfigs hold it."""
    return base64.b64encode(path.read_bytes()).decode()
