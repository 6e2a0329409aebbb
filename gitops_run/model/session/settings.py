"""The settings: the law by which a value is chosen for each key of the table.

This module decides between what a flag, the environment, the settings file and the stack say, in that order.
It reads none of them: adapters bring them as sources.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from enum import StrEnum
from pathlib import PurePath
from typing import Any, cast

from gitops_run.errors import GuardError, UsageError
from gitops_run.model.session.setting_table import SESSION_KEY_SETTINGS, SETTINGS, Setting, Value

__all__ = [
    "PROJECT",
    "SETTINGS",
    "Origin",
    "Setting",
    "Settings",
    "Source",
    "Value",
    "choose",
    "resolve",
    "to_stack_config",
]

PROJECT = "gitops-run"

_KIND_NAMES = {
    "string": "text",
    "integer": "a whole number",
    "boolean": "true or false",
    "array": "a list of strings",
}

_UNSAID = (None, "")
"""An empty text says nothing: Pulumi's config schema knows no key that may be left out."""
_BOOLEANS: Mapping[str, bool] = {"true": True, "false": False}
_WITHIN_ROOT = ("target", "valuesFiles")
_CONTENTS = re.compile(r"[\n\r]|[{\"]\s*apiVersion")
"""What a file holds in the place of its path: Pulumi's plugin would take a kubeconfig so, and keep it."""


_BY_KEY: Mapping[str, Setting] = {setting.key: setting for setting in SETTINGS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Hold what was chosen for each key; None where nothing was said and there is no default."""

    target: str | None
    applier: str
    substitute: tuple[str, ...]
    substitute_from: tuple[str, ...]
    substitute_file: str | None
    decryption_key_file: str | None
    values_files: tuple[str, ...]
    release_name: str | None
    root: str | None
    owner: str | None
    context: str | None
    kubeconfig: str | None
    cluster: str | None
    namespace: str | None
    allow_contexts: tuple[str, ...]
    allow_unlocked_flux: bool
    isolation: str | None
    quota: tuple[str, ...]
    team: str | None
    pod_security: str
    ttl: str | None
    idle_limit: str | None
    store: str
    endpoint: str | None
    store_image: str
    region: str
    ca_file: str | None
    access_key: str | None
    secret_key: str | None
    reader_access_key: str | None
    reader_secret_key: str | None
    writer_access_key: str | None
    writer_secret_key: str | None
    keys_file: str | None
    shared_keys: bool
    settle_ms: int
    settle_cap_ms: int
    prune_limit_percent: int
    render_timeout_s: int
    render_memory_mb: int
    render_output_mb: int

    def __repr__(self) -> str:
        """Leave the secrets out."""
        shown = (
            f"{one.name}={getattr(self, one.name)!r}"
            for one in fields(self)
            if "_key" not in one.name and one.name != "substitute"
        )
        return f"Settings({', '.join(shown)})"

    def require(self, key: str) -> str:
        """Return a required text. Raises UsageError that says where it can be set."""
        setting = _BY_KEY[key]
        value = getattr(self, setting.attribute)
        if value is None:
            raise UsageError(
                f"{key} is not set: {setting.description}",
                hint=f"set {setting.variable}, or {key} in the settings file"
                + ("" if setting.is_secret else f", or: pulumi config set {key} VALUE"),
            )
        return str(value)


class Origin(StrEnum):
    """Report where values come from, in words for a person."""

    ARGUMENT = "argument"
    FLAG = "flag"
    ENVIRONMENT = "environment"
    FILE = "settings file"
    STACK = "stack config"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Hold what one place says: keys of the table and raw values; place is the file's path."""

    origin: Origin
    values: Mapping[str, object] = field(repr=False)
    place: str = ""

    def spell(self, setting: Setting) -> str:
        """Write a key as a person finds it in this place."""
        if self.origin is Origin.ARGUMENT:
            return setting.attribute
        if self.origin is Origin.FLAG:
            return setting.flag
        if self.origin is Origin.ENVIRONMENT:
            return setting.variable
        if self.origin is Origin.STACK:
            return f"{PROJECT}:{setting.key} in {self.place or 'the stack config'}"
        return f"{setting.key} in {self.place or self.origin}"


NO_STACK = Source(origin=Origin.STACK, values={})


def resolve(sources: Sequence[Source]) -> Settings:
    """Choose each key's value from the first source that has it.

    sources: the strongest first: flag, environment, settings file, stack config. For the keys of the
    session's bucket the stack config comes first: whatever else names them speaks for other sessions too.
    Raises UsageError on an unknown key or a value that isn't allowed, GuardError where a source contradicts
    what the stack config pins.
    """
    for source in sources:
        _refuse_unknown(source)
    chosen = {setting.attribute: choose(setting, sources) for setting in SETTINGS}
    # Said once, it is kept with the session: an endpoint that is set later does not move its bucket.
    chosen["store"] = chosen["store"] or ("s3" if chosen["endpoint"] else "in-cluster")
    return Settings(**cast("dict[str, Any]", chosen))


def to_stack_config(settings: Settings) -> dict[str, str]:
    """List what a session's stack keeps, as texts by key: what was said, and no key of the store."""
    kept = {}
    for setting in SETTINGS:
        value = getattr(settings, setting.attribute)
        if value is None or value in ((), False) or setting.is_for_loop or setting.is_store_key:
            continue
        kept[setting.key] = str(value) if setting.kind == "string" else json.dumps(value)
    return kept


def _refuse_unknown(source: Source) -> None:
    for key in source.values:
        if key in _BY_KEY:
            continue
        near = get_close_matches(key, _BY_KEY, n=1)
        raise UsageError(
            f"unknown setting {key!r} in {source.place or source.origin}",
            hint=f"did you mean {near[0]}?" if near else f"known settings: {', '.join(_BY_KEY)}",
        )


def choose(setting: Setting, sources: Sequence[Source]) -> Value | None:
    """Choose one key's value as resolve does."""
    if setting.key in SESSION_KEY_SETTINGS:
        sources = sorted(sources, key=lambda source: source.origin is not Origin.STACK)
    said = [
        (source, _parse(setting, source, source.values[setting.key]))
        for source in sources
        if source.values.get(setting.key) not in _UNSAID
    ]
    if not said:
        return setting.default
    if setting.is_keyed:
        return _merged(setting, [(source, texts) for source, texts in said if isinstance(texts, tuple)])
    strongest, value = said[0]
    for source, other in said[1:]:
        if setting.is_pinned and source.origin is Origin.STACK and other != value:
            raise GuardError(
                f"{setting.key} of this session is {other!r} ({source.spell(setting)}), "
                f"and {strongest.spell(setting)} says {value!r}: it is fixed when a session is created",
                hint="leave it unchanged, or take down the session first, or choose another session name",
            )
    return value


def _merged(setting: Setting, said: Sequence[tuple[Source, tuple[str, ...]]]) -> tuple[str, ...]:
    """Merge lists of KEY=VALUE, the strongest first. Raises UsageError where one names a key twice."""
    merged: dict[str, str] = {}
    for source, texts in reversed(said):
        named = {text.partition("=")[0]: text for text in texts}
        if len(named) < len(texts):
            raise UsageError(
                f"{source.spell(setting)} names a key twice: {', '.join(texts)}", hint="choose one of them"
            )
        merged |= named
    return tuple(merged.values())


def _parse(setting: Setting, source: Source, raw: object) -> Value:
    value = _typed(setting, raw)
    if value is None:
        raise _refusal(setting, source, raw, _KIND_NAMES[setting.kind])
    if (
        setting.kind == "integer"
        and isinstance(value, int)
        and not setting.minimum <= value <= setting.maximum
    ):
        raise _refusal(setting, source, raw, f"{setting.minimum} to {setting.maximum}")
    if isinstance(value, str):
        return _parse_text(setting, source, value)
    if isinstance(value, tuple):
        return tuple(_parse_text(setting, source, text) for text in value)
    return value


def _parse_text(setting: Setting, source: Source, value: str) -> str:
    if setting.allowed and value not in setting.allowed:
        raise _refusal(setting, source, value, " or ".join(setting.allowed))
    if setting.pattern and not re.fullmatch(setting.pattern, value):
        raise _refusal(setting, source, value, f"a value like {setting.example}")
    if setting.is_path and _CONTENTS.search(value):
        raise _refusal(setting, source, value, "a file's path")
    return _parse_path(setting, source, value) if setting.key in _WITHIN_ROOT else value


def _typed(setting: Setting, raw: object) -> Value | None:
    if setting.kind == "integer":
        if isinstance(raw, int) and not isinstance(raw, bool):
            return raw
        return int(raw) if isinstance(raw, str) and re.fullmatch(r"-?[0-9]{1,9}", raw) else None
    if setting.kind == "boolean":
        return raw if isinstance(raw, bool) else _BOOLEANS.get(str(raw))
    if setting.kind == "array":
        return _texts(raw)
    return raw if isinstance(raw, str) else None


def _texts(raw: object) -> tuple[str, ...] | None:
    """Read a list, a JSON list (as Pulumi writes it), or words between commas (as people do)."""
    if isinstance(raw, str) and raw.lstrip().startswith("["):
        try:
            raw = json.loads(raw)
        except json.JSONDecodeError:
            return None
    if isinstance(raw, str):
        raw = [word.strip() for word in raw.split(",") if word.strip()]
    if isinstance(raw, (list, tuple)) and all(isinstance(word, str) for word in raw):
        return tuple(raw)
    return None


def _parse_path(setting: Setting, source: Source, value: str) -> str:
    path = PurePath(value)
    if path.is_absolute() or ".." in path.parts:
        raise _refusal(setting, source, value, "a path within root")
    return path.as_posix()


def _refusal(setting: Setting, source: Source, raw: object, allowed: str) -> UsageError:
    holds_contents = setting.is_path and _CONTENTS.search(str(raw))
    is_hidden = setting.is_secret or setting.key == "substitute" or holds_contents
    shown = "that value" if is_hidden else repr(raw)
    return UsageError(
        f"{source.spell(setting)} can't be {shown}: allowed is {allowed}",
        hint=f"{setting.key}: {setting.description}",
    )
