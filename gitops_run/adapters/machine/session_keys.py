"""Where the keys of a session's bucket stand: in a file of their own, in stack files, or for all sessions.

This module knows the places that name such keys. It decides nothing: gitops_run.model.store.keys says which
are refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from gitops_run.adapters.machine.user_files import (
    environment_source,
    read_private_mapping,
    read_stack_file,
    settings_sources,
)
from gitops_run.errors import UsageError
from gitops_run.model.session.setting_table import SESSION_KEY_SETTINGS
from gitops_run.model.session.settings import Origin, Settings, Source, resolve

_ACCESS_KEYS = ("readerAccessKey", "writerAccessKey")


def with_keys_file(settings: Settings, sources: Sequence[Source]) -> Settings:
    """Add what keysFile holds. sources: what settings were resolved from.

    Raises UsageError where the file can't be read, is open to others, or holds anything but the four keys.
    """
    if settings.keys_file is None:
        return settings
    return resolve((_read_keys_file(Path(settings.keys_file)), *sources))


def keys_elsewhere(environment: Mapping[str, str], stack_file: Path, settings: Settings) -> dict[str, str]:
    """Find each access key that is named for more than one session: from the key to the place.

    stack_file: of the session that is asked for; it need not exist. settings: of that session.
    """
    found = {}
    if settings.access_key:
        found[settings.access_key] = "accessKey, which opens every bucket"
    for file in sorted({*stack_file.parent.glob("Pulumi.*.yaml")} - {stack_file}):
        # What is wrong with another session's file is not a fault of this session.
        with suppress(UsageError):
            found |= _named(read_stack_file(file))
    for source in (*settings_sources(environment), environment_source(environment)):
        found |= _named(source)
    return found


def _named(source: Source) -> dict[str, str]:
    """List the access keys that a source names, itself or by a keysFile, with the place."""
    place = source.place or f"the {source.origin}"
    said = {name: source.values.get(name) for name in _ACCESS_KEYS}
    found = {str(key): f"{name} in {place}" for name, key in said.items() if key}
    path = source.values.get("keysFile")
    return found | (_named(_read_keys_file(Path(str(path)))) if path else {})


def _read_keys_file(path: Path) -> Source:
    values = read_private_mapping(path)
    missing = [key for key in SESSION_KEY_SETTINGS if not values.get(key)]
    unknown = [key for key in values if key not in SESSION_KEY_SETTINGS]
    if missing or unknown:
        problem = f"lacks {', '.join(missing)}" if missing else f"has {', '.join(unknown)}"
        raise UsageError(
            f"keysFile {path} {problem}", hint=f"it holds {', '.join(SESSION_KEY_SETTINGS)}, and nothing else"
        )
    return Source(origin=Origin.STACK, values=values, place=str(path))
