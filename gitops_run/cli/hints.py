"""Hints that work as typed: the command in one gets the session's name, and what leads to its cluster.

A hint writes a command of ours as `gitops-run COMMAND NAME …`, up to the next comma, semicolon or bracket.
When it is shown, NAME and PATH are replaced by what is known of the session, quoted for the shell, and the
flags that this command was given are added, since the next one needs them too.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click

from gitops_run.adapters.machine import user_files
from gitops_run.model.platform.platform import PlatformSettings
from gitops_run.model.session.contexts import is_known_local
from gitops_run.model.session.settings import Settings

COMMAND: Final = re.compile(r"gitops-run [a-z][^,;()`]*")
SESSION_COMMANDS: Final = frozenset(
    {"diff", "down", "extend", "history", "resume", "status", "suspend", "sync", "undo", "up", "wait"}
)
_CLUSTER_COMMANDS: Final = frozenset({"gc", "list", "platform", "ui"})
_META: Final = "gitops_run.place"
_FLAGS: Final = {"kubeconfig": "--kubeconfig", "context": "--context", "namespace": "--namespace"}
_ALLOW: Final = "--allow-contexts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Hold what the next command needs to come to the same session.

    name: "" where no session is meant. given: the flags that lead there, as they were typed. cluster: those
    that lead to the cluster where no session's stack file names it. root, target: "" where they aren't known.
    """

    name: str = ""
    given: tuple[str, ...] = ()
    cluster: tuple[str, ...] = ()
    root: str = ""
    target: str = ""
    stack: str = ""


def know_place(
    name: str, settings: Settings | PlatformSettings, flags: Mapping[str, object], *, stack: str = ""
) -> None:
    """Keep for the hints of this command where it works.

    name: of the session, or "". flags: by the settings' attributes. stack: of the platform that was named.
    """
    context = click.get_current_context(silent=True)
    if context is None:
        return
    kubeconfig, cluster = settings.kubeconfig, settings.context
    way: list[str] = []
    if cluster:
        way += ["--context", cluster] + ([] if is_known_local(cluster) else [_ALLOW, cluster])
    if kubeconfig and kubeconfig != user_files.default_source(os.environ).values.get("kubeconfig"):
        way += ["--kubeconfig", kubeconfig]
    context.meta[_META] = Place(
        name=name,
        given=_given(flags),
        cluster=tuple(way),
        root=getattr(settings, "root", None) or "",
        target=getattr(settings, "target", None) or "",
        stack=stack,
    )


def _given(flags: Mapping[str, object]) -> tuple[str, ...]:
    words: list[str] = []
    for key, flag in _FLAGS.items():
        if value := flags.get(key):
            words += [flag, str(value)]
    allowed = flags.get("allow_contexts")
    for context in allowed if isinstance(allowed, tuple | list) else ():
        words += [_ALLOW, str(context)]
    return tuple(words)


def place_of(context: click.Context | None) -> Place:
    """Bring what the running command knows."""
    found: Place = context.meta.get(_META, Place()) if context else Place()
    return found


def completed(hint: str, place: Place) -> str:
    """Write a hint whose commands work as typed."""
    return COMMAND.sub(lambda found: _completed(found[0], place), hint)


def completed_here(hint: str) -> str:
    """Complete a hint by what the running command knows."""
    return completed(hint, place_of(click.get_current_context(silent=True)))


def _completed(command: str, place: Place) -> str:
    words = command.split()
    what = words[1]
    if what in SESSION_COMMANDS and place.name:
        words = [shlex.quote(place.name) if word == "NAME" else word for word in words]
        if place.root and "PATH" in words:
            at = words.index("PATH")
            path = os.path.normpath(Path(place.root) / (place.target or "."))
            words[at : at + 1] = [shlex.quote(path), "--root", shlex.quote(place.root)]
    flags = place.given if what in SESSION_COMMANDS else place.cluster if what in _CLUSTER_COMMANDS else ()
    if place.stack and words[1:3] in (["platform", "up"], ["platform", "down"]):
        flags = (*flags, "--stack", place.stack)
    for flag, value in zip(flags[::2], flags[1::2], strict=True):
        if flag not in words or flag == _ALLOW:
            words += [flag, shlex.quote(value)]
    return " ".join(words) + command[len(command.rstrip()) :]


def with_completed_hints(document: Any, place: Place) -> Any:
    """Complete every hint of an event as JSON."""
    if isinstance(document, list | tuple):
        return [with_completed_hints(entry, place) for entry in document]
    if not isinstance(document, dict):
        return document
    return {
        key: completed(value, place)
        if key in {"hint", "how_to_go_on"} and isinstance(value, str)
        else with_completed_hints(value, place)
        for key, value in document.items()
    }
