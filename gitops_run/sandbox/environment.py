"""What other commands need in their environment to use a sandbox, and the files that this points to.

Secrets never stand in the environment: it points to files that only their owner may read.
"""

from __future__ import annotations

import os
import re
import secrets
import shlex
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import yaml

from gitops_run.adapters.machine.user_files import data_directory
from gitops_run.adapters.render.children import PASSED_VARIABLES
from gitops_run.sandbox.binaries import LANGUAGE_HOST
from gitops_run.sandbox.flux_manifests import VARIABLE, manifests_path
from gitops_run.sandbox.state import REGION, NodeKind, Sandbox, write_private
from gitops_run.sandbox.store import Account

STAND_IN = Path(__file__).parent / "kubernetes_plugin" / "bin"
_NO_DOWNLOADS = "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"


_INHERITED_TOO = re.compile(
    r"HOME|USER|LOGNAME|SHELL|LANGUAGE|LC_\w+|TMPDIR|TMP|TEMP|XDG_\w+"
    r"|GO(?:MAXPROCS|GC|MEMLIMIT|DEBUG|CACHE|ENV|MODCACHE|PATH|PROXY|SUMDB|NOSUMDB|NOPROXY|PRIVATE|TMPDIR)"
    r"|PYTHON\w+|VIRTUAL_ENV|LD_LIBRARY_PATH"
)
"""What those that live on need besides what every child inherits."""


def inherited(environment: Mapping[str, str]) -> dict[str, str]:
    """Choose what the supervisor and its parts get of an environment: where things are, and no credentials.

    They live on for days, whereas whoever starts them has keys in the environment for something else.
    """
    return {
        name: value
        for name, value in environment.items()
        if name in PASSED_VARIABLES or (_INHERITED_TOO.fullmatch(name) and not _has_credentials(name, value))
    }


def _has_credentials(name: str, value: str) -> bool:
    """Say whether an address may hold a password: a private proxy of Go modules often has one."""
    return name == "GOPROXY" and "@" in value


def ensure_pulumi_state(folder: Path) -> None:
    """Make the folder of Pulumi's file backend and the passphrase of its secrets, once."""
    (folder / "state").mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):
        descriptor = os.open(folder / "passphrase", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(32))


def with_environment(sandbox: Sandbox, *, has_plugin: bool) -> Sandbox:
    """Set the folders and variables that make Pulumi, kubectl and our own commands use a sandbox.

    has_plugin: as for with_stand_in.
    """
    data = data_directory(os.environ)
    folders = [
        Path(sys.prefix, "bin"),
        *(sandbox.binaries[n].parent for n in ("pulumi", LANGUAGE_HOST, "helm")),
    ]
    variables = {
        "GITOPS_RUN_SETTINGS": str(sandbox.settings),
        "KUBECONFIG": str(sandbox.kubeconfig),
        VARIABLE: str(manifests_path(sandbox)),
        "PULUMI_BACKEND_URL": (data / "state").as_uri(),
        "PULUMI_CONFIG_PASSPHRASE_FILE": str(data / "passphrase"),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }
    if sandbox.node is NodeKind.REAL:
        # The node's address would be asked for through a proxy.
        direct = ",".join(filter(None, (os.environ.get("NO_PROXY"), sandbox.address)))
        variables |= {"NO_PROXY": direct, "no_proxy": direct}
    described = replace(sandbox, path=tuple(dict.fromkeys(folders)), variables=variables)
    return with_stand_in(described, has_plugin=has_plugin)


def with_stand_in(sandbox: Sandbox, *, has_plugin: bool) -> Sandbox:
    """Put our kubernetes plugin on the path of a sandbox, or take it away.

    has_plugin: whether Pulumi has its own; ours is used only where it hasn't, and none is downloaded then.
    """
    folders = [folder for folder in sandbox.path if folder != STAND_IN]
    variables = {name: value for name, value in sandbox.variables.items() if name != _NO_DOWNLOADS}
    if not has_plugin:
        folders.append(STAND_IN)
        variables[_NO_DOWNLOADS] = "true"
    return replace(sandbox, path=tuple(folders), variables=variables)


def shell_lines(sandbox: Sandbox) -> str:
    """Write a sandbox's environment as lines that sh, bash and zsh can evaluate."""
    path = os.pathsep.join(map(str, sandbox.path))
    variables = [f"export {name}={shlex.quote(value)}" for name, value in sandbox.variables.items()]
    return "\n".join((f'export PATH={shlex.quote(path)}:"$PATH"', *variables))


def write_cluster_settings(sandbox: Sandbox) -> None:
    """Write the settings file for a cluster that has no store beside it: sessions bring their own."""
    settings = {"kubeconfig": str(sandbox.kubeconfig), "context": sandbox.context}
    write_private(sandbox.settings, yaml.safe_dump(settings, sort_keys=False))


def write_settings(sandbox: Sandbox, administrator: Account) -> None:
    """Write the settings file that makes the other commands use the sandbox's cluster and store.

    The store makes each session's own keys: there are none that sessions could share.
    """
    settings = {
        "kubeconfig": str(sandbox.kubeconfig),
        "context": sandbox.context,
        "store": "s3",
        "endpoint": sandbox.store,
        "region": REGION,
        "caFile": str(sandbox.ca),
        "accessKey": administrator.access,
        "secretKey": administrator.secret,
    }
    write_private(sandbox.settings, yaml.safe_dump(settings, sort_keys=False))
