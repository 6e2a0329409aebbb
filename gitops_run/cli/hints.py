"""Hints of the running command: what it knows of its session and its cluster completes the next command."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

import click

from gitops_run.adapters.machine import user_files
from gitops_run.model.platform.platform import PlatformSettings
from gitops_run.model.session.commands import ALLOW, Place, completed, way_to
from gitops_run.model.session.settings import Settings

_META: Final = "gitops_run.place"
_FLAGS: Final = {"kubeconfig": "--kubeconfig", "context": "--context", "namespace": "--namespace"}


def know_place(
    name: str, settings: Settings | PlatformSettings, flags: Mapping[str, object], *, stack: str = ""
) -> None:
    """Keep for the hints of this command where it works.

    name: of the session, or "". flags: by the settings' attributes. stack: of the platform that was named.
    """
    context = click.get_current_context(silent=True)
    if context is None:
        return
    usual = str(user_files.default_source(os.environ).values.get("kubeconfig") or "")
    context.meta[_META] = Place(
        name=name,
        given=_given(flags),
        cluster=way_to(settings.context or "", settings.kubeconfig or "", usual),
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
        words += [ALLOW, str(context)]
    return tuple(words)


def place_of(context: click.Context | None) -> Place:
    """Bring what the running command knows."""
    found: Place = context.meta.get(_META, Place()) if context else Place()
    return found


def completed_here(hint: str) -> str:
    """Complete a hint by what the running command knows."""
    return completed(hint, place_of(click.get_current_context(silent=True)))
