"""The commands in hints, completed so that they work as typed.

A hint writes a command of ours as `gitops-run COMMAND NAME …`, up to the next comma, semicolon or bracket.
When it is shown, NAME and PATH are replaced by what is known of the session, quoted for the shell, and the
flags that lead to its cluster are added.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from dataclasses import dataclass
from typing import Any, Final

from gitops_run.model.session.contexts import is_known_local

COMMAND: Final = re.compile(r"gitops-run [a-z][^,;()`]*")
SESSION_COMMANDS: Final = frozenset(
    {"diff", "down", "extend", "history", "request", "resume", "retry", "status", "suspend", "sync", "undo"}
    | {"up", "wait"}
)
_CLUSTER_COMMANDS: Final = frozenset({"doctor", "gc", "list", "platform", "ui"})
ALLOW: Final = "--allow-contexts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Hold what the next command needs to come to the same session.

    name: "" where no session is meant. given: the flags that lead to the session. cluster: those that lead to
    the cluster where no session's stack file names it. root, target: "" where they aren't known.
    """

    name: str = ""
    given: tuple[str, ...] = ()
    cluster: tuple[str, ...] = ()
    root: str = ""
    target: str = ""
    stack: str = ""


def way_to(context: str, kubeconfig: str, usual: str) -> tuple[str, ...]:
    """Write the flags that lead to a cluster. usual: the kubeconfig that is read without a flag, or ""."""
    way: list[str] = []
    if context:
        way += ["--context", context] + ([] if is_known_local(context) else [ALLOW, context])
    if kubeconfig and kubeconfig != usual:
        way += ["--kubeconfig", kubeconfig]
    return tuple(way)


def completed(hint: str, place: Place) -> str:
    """Write a hint whose commands work as typed."""
    return COMMAND.sub(lambda found: _completed(found[0], place), hint)


def _completed(command: str, place: Place) -> str:
    words = command.split()
    what = words[1]
    if what in SESSION_COMMANDS and place.name:
        words = [shlex.quote(place.name) if word == "NAME" else word for word in words]
        if place.root and "PATH" in words:
            at = words.index("PATH")
            path = posixpath.normpath(posixpath.join(place.root, place.target or "."))
            words[at : at + 1] = [shlex.quote(path), "--root", shlex.quote(place.root)]
    flags = place.given if what in SESSION_COMMANDS else place.cluster if what in _CLUSTER_COMMANDS else ()
    if place.stack and words[1:3] in (["platform", "up"], ["platform", "down"]):
        flags = (*flags, "--stack", place.stack)
    for flag, value in zip(flags[::2], flags[1::2], strict=True):
        if flag not in words or flag == ALLOW:
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
