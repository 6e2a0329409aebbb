"""Credentials by a kubeconfig's exec plugin: a program that logs in and prints a token or a certificate.

This module knows the protocol and how its failures read. What the plugin prints as credentials is never
quoted; of its error output, the end is. The kubernetes client runs plugins too, but hides their failures and
asks as nobody.
Source: client.authentication.k8s.io/v1; client-go 1.36, plugin/pkg/client/auth/exec.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import anyio

from gitops_run.adapters.machine.kubeconfig import Kubeconfig
from gitops_run.errors import BackendError

PLUGIN_S: Final = 60.0
"""How long a plugin may take: it may ask a service for a token, and nobody at a terminal."""
OUTPUT_BYTES_MAX: Final = 1024 * 1024
QUOTED_LETTERS_MAX: Final = 300
OWN_VARIABLES: Final = "GITOPS_RUN_"
_CLUSTER_FIELDS: Final = (
    "server",
    "tls-server-name",
    "insecure-skip-tls-verify",
    "certificate-authority-data",
    "proxy-url",
)
_CONFIG_EXTENSION: Final = "client.authentication.k8s.io/exec"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """Hold what a plugin printed: a token, or a certificate with its key as PEM.

    expires: None where it doesn't say.
    """

    token: str = field(default="", repr=False)
    certificate: str = ""
    key: str = field(default="", repr=False)
    expires: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecPlugin:
    """Hold how a context's user gets credentials. folder: that of the kubeconfig."""

    context: str
    user: str
    settings: Mapping[str, Any]
    cluster: Mapping[str, Any]
    folder: Path

    @property
    def name(self) -> str:
        """Name the program."""
        return str(self.settings.get("command", ""))

    def failure(self, what: str) -> BackendError:
        """Report that it gave no credentials, and what helps."""
        return BackendError(
            f"{self.name}, which provides the credentials of user {self.user!r}, {what}",
            hint=f"log in as it requires; then this must work: kubectl --context {self.context} auth whoami",
        )


def find_plugin(kubeconfig: Kubeconfig, context: str) -> ExecPlugin | None:
    """Find the plugin of a context that the kubeconfig has; None where its user has none."""
    named = kubeconfig.contexts[context]
    user = _named(kubeconfig.document["users"], named["user"])["user"]
    settings = user.get("exec")
    if not isinstance(settings, dict):
        return None
    return ExecPlugin(
        context=context,
        user=named["user"],
        settings=settings,
        cluster=_named(kubeconfig.document["clusters"], named["cluster"])["cluster"],
        folder=kubeconfig.folder,
    )


async def run_plugin(plugin: ExecPlugin) -> Credential:
    """Run a plugin. Raises BackendError where it gives no credentials within PLUGIN_S."""
    if plugin.settings.get("interactiveMode") == "Always":
        raise plugin.failure("needs to ask at a terminal, and there is none here")
    command = [_program(plugin), *map(str, plugin.settings.get("args") or ())]
    try:
        with anyio.fail_after(PLUGIN_S):
            ended = await anyio.run_process(
                command,
                env=_environment(plugin),
                stdin=subprocess.DEVNULL,
                check=False,
                start_new_session=True,
            )
    except OSError as error:
        if isinstance(error, TimeoutError):
            raise plugin.failure(f"has printed no credentials within {PLUGIN_S:.0f} s") from error
        raise plugin.failure(f"can't be started: {error.strerror}") from error
    if ended.returncode:
        raise plugin.failure(f"ended with {ended.returncode}{_quoted(ended.stderr)}")
    return _parsed(plugin, ended.stdout)


def _program(plugin: ExecPlugin) -> str:
    """Find the program: by PATH, or relative to the kubeconfig where it has a folder."""
    named = plugin.name
    found = shutil.which(str(plugin.folder / named) if "/" in named else named)
    if found is None:
        hint = str(plugin.settings.get("installHint") or "").strip()
        raise plugin.failure(f"is not installed{f': {_shortened(hint)}' if hint else ''}")
    return found


def _environment(plugin: ExecPlugin) -> dict[str, str]:
    """Give it this environment without our own variables, which may hold keys, but with its settings."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(OWN_VARIABLES)}
    named = {str(item["name"]): str(item["value"]) for item in plugin.settings.get("env") or ()}
    spec: dict[str, Any] = {"interactive": False}
    if plugin.settings.get("provideClusterInfo"):
        spec["cluster"] = {key: plugin.cluster[key] for key in _CLUSTER_FIELDS if key in plugin.cluster}
        for item in plugin.cluster.get("extensions") or ():
            if item.get("name") == _CONFIG_EXTENSION:
                spec["cluster"]["config"] = item.get("extension")
    info = {"apiVersion": plugin.settings.get("apiVersion"), "kind": "ExecCredential", "spec": spec}
    return {**inherited, **named, "KUBERNETES_EXEC_INFO": json.dumps(info)}


def _parsed(plugin: ExecPlugin, output: bytes) -> Credential:
    try:
        answer = json.loads(output[:OUTPUT_BYTES_MAX])
        version, status = answer["apiVersion"], answer["status"]
        found = Credential(
            token=str(status.get("token") or ""),
            certificate=str(status.get("clientCertificateData") or ""),
            key=str(status.get("clientKeyData") or ""),
            expires=_moment(status.get("expirationTimestamp")),
        )
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise plugin.failure("has printed no ExecCredential") from None  # its text may have a token
    if version != plugin.settings.get("apiVersion"):
        raise plugin.failure(f"speaks {_shortened(str(version))}, but its kubeconfig names another version")
    if not found.token and not (found.certificate and found.key):
        raise plugin.failure("has printed neither a token nor a certificate with its key")
    return found


def _moment(text: object) -> datetime | None:
    """Read a time of RFC 3339. Raises ValueError."""
    if not text:
        return None
    found = datetime.fromisoformat(str(text))
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _quoted(errors: bytes) -> str:
    text = errors.decode("utf-8", "replace").strip()
    return f": {_shortened(text)}" if text else ", without a message"


def _shortened(text: str) -> str:
    """Put the end of a text on one line."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return line if len(line) <= QUOTED_LETTERS_MAX else f"…{line[-QUOTED_LETTERS_MAX:]}"


def _named(entries: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """Find an entry of a kubeconfig's list. Raises StopIteration."""
    return next(entry for entry in entries if entry["name"] == name)
