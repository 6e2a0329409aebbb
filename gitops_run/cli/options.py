"""Flags made from the table of settings, and the sources that a command reads them with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from gitops_run.api import settings as choose
from gitops_run.cli.caller import this_caller
from gitops_run.cli.hints import know_place
from gitops_run.model.names import SessionName
from gitops_run.model.session.settings import SETTINGS, Origin, Setting, Settings, Source

_METAVARS = {
    "file": "FILE",
    "files": "FILE",
    "kubeconfig": "FILE",
    "manifests": "FILE|URL",
    "endpoint": "URL",
    "receiver": "URL",
    "context": "CONTEXT",
    "contexts": "CONTEXT",
    "namespace": "NAMESPACE",
    "substitute": "NAME=VALUE",
    "substitutefrom": "KIND/NAME",
    "image": "IMAGE",
    "owner": "USER",
    "schedule": "SCHEDULE",
    "ttl": "DURATION",
    "idlelimit": "DURATION",
    "teamquota": "TEAM/RESOURCE=AMOUNT",
    "quota": "RESOURCE=AMOUNT",
    "team": "TEAM",
    "ingressfrom": "NAMESPACE",
}
"""What flags take, by the end of the setting's key."""

Command = TypeVar("Command", bound=Callable[..., Any])

CLUSTER_KEYS = ("kubeconfig", "context", "namespace", "allowContexts")
RENDER_KEYS = ("renderTimeoutS", "renderMemoryMb", "renderOutputMb")
LOOP_KEYS = ("settleMs", "settleCapMs", "pruneLimitPercent", *RENDER_KEYS)
APPLIER_KEYS = (
    "applier",
    "substitute",
    "substituteFrom",
    "substituteFile",
    "decryptionKeyFile",
    "valuesFiles",
    "releaseName",
)
SESSION_KEYS = (
    "owner",
    "isolation",
    "quota",
    "team",
    "podSecurity",
    "ttl",
    "idleLimit",
    "store",
    "endpoint",
    "region",
    "caFile",
    "keysFile",
    "sharedKeys",
    "allowUnlockedFlux",
    *APPLIER_KEYS,
)


def settings_flags(*keys: str, table: Sequence[Setting] = SETTINGS) -> Callable[[Command], Command]:
    """Add a flag for each of these settings. Secrets have none: arguments are for everyone to see."""

    def add(command: Command) -> Command:
        for setting in reversed([setting for setting in table if setting.key in keys]):
            command = _option(setting)(command)
        return command

    return add


def _option(setting: Setting) -> Callable[[Command], Command]:
    if setting.kind == "boolean":
        return click.option(
            setting.flag, setting.attribute, is_flag=True, default=None, help=setting.description
        )
    return click.option(
        setting.flag,
        setting.attribute,
        type=int if setting.kind == "integer" else str,
        multiple=setting.kind == "array",
        help=_help(setting),
        metavar=_metavar(setting),
    )


def _metavar(setting: Setting) -> str:
    """Name what a flag takes."""
    if setting.kind == "integer":
        return "INTEGER"
    if setting.allowed:
        return "|".join(setting.allowed)
    return next((word for end, word in _METAVARS.items() if setting.key.lower().endswith(end)), "TEXT")


def _help(setting: Setting) -> str:
    return f"{setting.description} Repeatable." if setting.kind == "array" else setting.description


no_preflight_flag = click.option(
    "--no-preflight",
    "has_dry_run",
    is_flag=True,
    callback=lambda _context, _option, is_given: not is_given,
    help="Skip the server-side dry run and the diff of each save; Flux then reports what is wrong. "
    "Rendering, ownership of objects and prune limits are still checked.",
)


def flag_source(flags: Mapping[str, object], table: Sequence[Setting] = SETTINGS) -> Source:
    """Bring what flags say; paths are relative to the current directory, and URLs stay."""
    values: dict[str, object] = {}
    for setting in table:
        value = flags.get(setting.attribute)
        if value in (None, ()):
            continue
        is_path = setting.is_path and "://" not in str(value)
        values[setting.key] = str(Path.cwd() / str(value)) if is_path else value
    return Source(origin=Origin.FLAG, values=values)


def cluster_settings(flags: Mapping[str, object]) -> Settings:
    """Choose the settings of a command that works on one pinned cluster. Raises as refuse_unpinned."""
    settings = choose.cluster_settings(flag_source(flags), this_caller())
    know_place("", settings, flags)
    choose.refuse_unpinned(settings)
    return settings


def session_settings(name: SessionName, flags: Mapping[str, object]) -> Settings:
    """Choose the settings of a session that may have a stack file near here. Raises as refuse_unpinned."""
    settings = choose.session_settings(name, flag_source(flags), this_caller())
    know_place(name.text, settings, flags)
    choose.refuse_unpinned(settings)
    return settings
