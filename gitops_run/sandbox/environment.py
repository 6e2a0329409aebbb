"""What other commands need in their environment to use a sandbox, and the files that this points to.

Secrets never stand in the environment: it points to files that only their owner may read.
"""

from __future__ import annotations

import os
import secrets
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

import yaml

from gitops_run.sandbox.binaries import LANGUAGE_HOST
from gitops_run.sandbox.state import REGION, Sandbox, write_private
from gitops_run.sandbox.store import Accounts

STAND_IN = Path(__file__).parents[1] / "plugins" / "kubernetes" / "bin"


def data_folder() -> Path:
    """Return the folder in the user's home that holds Pulumi's state and its passphrase."""
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share", "gitops-run")


def ensure_pulumi_state(folder: Path) -> None:
    """Make the folder of Pulumi's file backend and the passphrase of its secrets, once."""
    (folder / "state").mkdir(mode=0o700, parents=True, exist_ok=True)
    passphrase = folder / "passphrase"
    if not passphrase.exists():
        write_private(passphrase, secrets.token_urlsafe(32))


def environment_of(sandbox: Sandbox, *, stand_in: bool) -> dict[str, str]:
    """Compute the variables that make Pulumi, kubectl and our own commands use a sandbox.

    stand_in: whether Pulumi's kubernetes plugin could not be had, so that ours takes its place.
    PATH holds only the folders to be put before the present PATH.
    """
    data = data_folder()
    folders = [Path(sys.prefix, "bin"), *(sandbox.binaries[n].parent for n in ("pulumi", LANGUAGE_HOST))]
    environment = {
        "GITOPS_RUN_SETTINGS": str(sandbox.settings),
        "KUBECONFIG": str(sandbox.kubeconfig),
        "PULUMI_BACKEND_URL": (data / "state").as_uri(),
        "PULUMI_CONFIG_PASSPHRASE_FILE": str(data / "passphrase"),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }
    if stand_in:
        folders.append(STAND_IN)
        environment["PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"] = "true"
    return {"PATH": os.pathsep.join(dict.fromkeys(map(str, folders))), **environment}


def shell_lines(environment: Mapping[str, str]) -> str:
    """Write an environment as lines that sh, bash and zsh can evaluate."""
    lines = [f"export {name}={shlex.quote(value)}" for name, value in environment.items() if name != "PATH"]
    return "\n".join((f'export PATH={shlex.quote(environment["PATH"])}:"$PATH"', *lines))


def write_settings(sandbox: Sandbox, accounts: Accounts) -> None:
    """Write the settings file that makes the other commands use the sandbox's cluster and store."""
    settings = {
        "kubeconfig": str(sandbox.kubeconfig),
        "context": sandbox.context,
        "store": "s3",
        "endpoint": sandbox.store,
        "region": REGION,
        "caFile": str(sandbox.ca),
        "accessKey": accounts.admin.access,
        "secretKey": accounts.admin.secret,
        "readerAccessKey": accounts.reader.access,
        "readerSecretKey": accounts.reader.secret,
        "writerAccessKey": accounts.writer.access,
        "writerSecretKey": accounts.writer.secret,
    }
    write_private(sandbox.settings, yaml.safe_dump(settings, sort_keys=False))
