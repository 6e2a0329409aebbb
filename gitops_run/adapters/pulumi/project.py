"""Where stacks live: the project's folder, the backend that keeps their state, and their passphrase.

This module knows which Pulumi.yaml is meant, and makes one in the user's data directory where no repository
has one.
"""

from __future__ import annotations

import json
import secrets
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

from gitops_run.adapters.machine.private_files import create_private, replace_private
from gitops_run.adapters.pulumi.own_plugin import OWN_PLUGIN
from gitops_run.adapters.pulumi.runs import Runs
from gitops_run.errors import UsageError
from gitops_run.model.platform.platform import PLATFORM_PROJECT
from gitops_run.model.session.settings import PROJECT
from gitops_run.model.stack.project import PROJECT_FILE, platform_project, project, stack_file

_PROGRAM = "from gitops_run.declare.{module} import main\n\nmain()\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectKind:
    """Describe one of the two projects. folder: where it lies in a repository. own: in the tool's data."""

    name: str
    folder: str
    own: str
    module: str


SESSIONS = ProjectKind(name=PROJECT, folder=".", own="project", module="program")
PLATFORMS = ProjectKind(name=PLATFORM_PROJECT, folder="platform", own="platform", module="platform_program")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectHome:
    """Hold a project's folder, what Pulumi needs in its environment, and the URL of its backend.

    runs: the folder where Pulumi's runs are recorded.
    """

    directory: Path
    environment: Mapping[str, str]
    backend: str
    runs: Path
    kind: ProjectKind = SESSIONS

    def stack_file(self, stack: str) -> Path:
        """Name a stack's file."""
        return self.directory / stack_file(stack)

    def runs_of(self, stack: str) -> Runs:
        """Know the runs that this tool started on a stack."""
        return Runs(folder=self.runs, backend=self.backend, stack=f"{self.kind.name}/{stack}")

    def command(self, name: str, stack: str) -> str:
        """Write the command line by which a person lets Pulumi do something to a stack of this project."""
        backend = self.environment.get("PULUMI_BACKEND_URL")
        chosen = f"PULUMI_BACKEND_URL={shlex.quote(backend)} " if backend else ""
        return f"{chosen}pulumi -C {shlex.quote(str(self.directory))} {name} -s {stack}"


def find_home(
    start: Path, data: Path, environment: Mapping[str, str], kind: ProjectKind = SESSIONS
) -> ProjectHome:
    """Find the project: the nearest Pulumi.yaml of its kind's name, or the tool's own. start: where to begin.

    data: the tool's data directory. The backend is the one that the environment, the project or
    `pulumi login` chose, otherwise files in data; so is the passphrase.
    """
    directory = _nearest(start, kind) or _own(data / kind.own, kind)
    (directory / "stacks").mkdir(exist_ok=True)
    chosen = {"PULUMI_SKIP_UPDATE_CHECK": "true", "PULUMI_FALLBACK_TO_STATE_SECRETS_MANAGER": "true"}
    backend = _backend(directory, environment)
    if not backend:
        state = data / "state"
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        backend = chosen["PULUMI_BACKEND_URL"] = f"file://{quote(str(state))}"
    if not {"PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"} & environment.keys():
        chosen["PULUMI_CONFIG_PASSPHRASE_FILE"] = str(_passphrase_file(data))
    return ProjectHome(
        directory=directory, environment=chosen, backend=backend, runs=data / "runs", kind=kind
    )


def find_stack_file(stack: str, start: Path, data: Path) -> Path:
    """Name the file of a session's stack in the project that find_home finds, and create nothing.

    The file need not exist. Raises UsageError where a project can't be read.
    """
    return (_nearest(start, SESSIONS) or data / SESSIONS.own) / stack_file(stack)


def _nearest(start: Path, kind: ProjectKind) -> Path | None:
    for directory in (start, *start.parents):
        file = directory / kind.folder / PROJECT_FILE
        if file.is_file() and _read(file).get("name") == kind.name:
            return file.parent
    return None


def _own(directory: Path, kind: ProjectKind) -> Path:
    """Make the tool's own project, or bring it up to date: the tool may have moved since."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    document = (
        project(plugin=str(OWN_PLUGIN), virtualenv=sys.prefix)
        if kind is SESSIONS
        else platform_project(virtualenv=sys.prefix)
    )
    wanted = yaml.safe_dump(document, sort_keys=False)
    for name, text in ((PROJECT_FILE, wanted), ("__main__.py", _PROGRAM.format(module=kind.module))):
        file = directory / name
        if not file.is_file() or file.read_text(encoding="utf-8") != text:
            replace_private(file, text)
    return directory


def _backend(directory: Path, environment: Mapping[str, str]) -> str:
    """Find the backend that the environment, the project or `pulumi login` chose, in this order."""
    chosen = environment.get("PULUMI_BACKEND_URL") or (
        _read(directory / PROJECT_FILE).get("backend") or {}
    ).get("url")
    if chosen:
        return str(chosen)
    home = environment.get("PULUMI_HOME") or str(Path(environment.get("HOME", "~")).expanduser() / ".pulumi")
    try:
        login = json.loads((Path(home) / "credentials.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    return str(login.get("current") or "") if isinstance(login, dict) else ""


def _passphrase_file(directory: Path) -> Path:
    """Find the file with the stacks' passphrase; make it once, for its owner's eyes, never empty."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = directory / "passphrase"
    try:
        create_private(path, secrets.token_urlsafe(32))
    except FileExistsError:
        if path.stat().st_size == 0:
            raise UsageError(
                f"the passphrase file {path} is empty", hint="restore the stacks' passphrase in it"
            ) from None
    return path


def _read(file: Path) -> Mapping[str, Any]:
    try:
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} can't be read: {type(error).__name__}", hint="mend it") from None
    return document if isinstance(document, dict) else {}
