"""The settings: one table, and the law by which a value is chosen.

Knows every key with its type, default, range and meaning, and decides between what a flag, the environment,
the settings file and the stack say, in that order. Reads none of them: adapters bring them as sources.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from enum import StrEnum
from pathlib import PurePath
from typing import Any, Literal, cast

from gitops_run.errors import GuardError, UsageError

PROJECT = "gitops-run"
ENVIRONMENT_PREFIX = "GITOPS_RUN_"

_KIND_NAMES = {"string": "text", "integer": "a whole number", "array": "a list of texts"}
Kind = Literal["string", "integer", "array"]
Value = str | int | tuple[str, ...]

_UNSAID = (None, "")
"""An empty text says nothing: Pulumi's config schema knows no key that may be left out."""
_WITHIN_ROOT = ("target", "valuesFiles")
_HTTPS = r"https://[^/?#\s]+"
_DNS_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Describe one key.

    is_pinned: fixed when a session is made. is_for_loop: read by the loop alone, and not kept in the stack.
    """

    key: str
    description: str
    kind: Kind = "string"
    default: str | int | tuple[str, ...] | None = None
    allowed: tuple[str, ...] = ()
    pattern: str = ""
    example: str = ""
    minimum: int = 0
    maximum: int = 0
    is_secret: bool = False
    is_pinned: bool = False
    is_path: bool = False
    is_for_loop: bool = False

    @property
    def attribute(self) -> str:
        """Name the field of Settings that holds it."""
        return re.sub(r"(?<!^)([A-Z])", r"_\1", self.key).lower()

    @property
    def flag(self) -> str:
        """Name the flag of the command line."""
        return "--" + self.attribute.replace("_", "-")

    @property
    def variable(self) -> str:
        """Name the environment variable."""
        return ENVIRONMENT_PREFIX + self.attribute.upper()


SETTINGS: tuple[Setting, ...] = (
    Setting(
        key="target",
        description="The directory that is applied, as a path within root; . for root itself.",
        is_pinned=True,
    ),
    Setting(
        key="applier",
        description="Who applies the target: kustomize, or helm where it is a chart; seen from its files.",
        default="kustomize",
        allowed=("kustomize", "helm"),
        is_pinned=True,
    ),
    Setting(
        key="substitute",
        description="Variables of a kustomization, as NAME=VALUE: Flux puts them in for ${NAME}.",
        kind="array",
        default=(),
        pattern=r"[A-Za-z_][A-Za-z0-9_]*=[^\0]*",
        example="REPLICAS=2",
    ),
    Setting(
        key="substituteFrom",
        description="ConfigMaps and Secrets of the session's namespace that hold more such variables.",
        kind="array",
        default=(),
        pattern=rf"(ConfigMap|Secret)/{_DNS_LABEL}(\.{_DNS_LABEL})*",
        example="ConfigMap/settings",
    ),
    Setting(
        key="decryptionKeyFile",
        description="The file with the age key by which Flux decrypts what SOPS has encrypted.",
        is_path=True,
    ),
    Setting(key="valuesFiles", description="A chart's values files, within root.", kind="array", default=()),
    Setting(
        key="releaseName",
        description="A chart's release name; else the session's name.",
        pattern=r"[a-z0-9]([a-z0-9-]{0,51}[a-z0-9])?",
        example="web",
    ),
    Setting(
        key="root",
        description="The directory that is watched. The cluster learns its last name alone.",
        is_path=True,
    ),
    Setting(
        key="owner",
        description="The Kubernetes user who may save in this session; else whoever makes it.",
        is_pinned=True,
    ),
    Setting(key="context", description="The context of the kubeconfig, by name.", is_pinned=True),
    Setting(
        key="kubeconfig",
        description="The kubeconfig file; else the one that KUBECONFIG names, or ~/.kube/config.",
        is_pinned=True,
        is_path=True,
    ),
    Setting(
        key="cluster",
        description="The UID of the cluster's kube-system namespace; written when a session is made.",
        is_pinned=True,
    ),
    Setting(
        key="namespace",
        description="The session's own namespace; else run- and the session's name.",
        pattern=_DNS_LABEL,
        example="team-a-web",
        is_pinned=True,
    ),
    Setting(
        key="allowContexts",
        description="Contexts that sessions may use, besides those that are known as local.",
        kind="array",
        default=(),
    ),
    Setting(
        key="store",
        description="Where the session's bucket is: s3 for any S3 endpoint, aws for Amazon's own.",
        default="s3",
        allowed=("s3", "aws"),
        is_pinned=True,
    ),
    Setting(
        key="endpoint",
        description="The S3 endpoint, reachable from here and from the cluster.",
        pattern=_HTTPS,
        example="https://s3.example.com:9000",
        is_pinned=True,
    ),
    Setting(key="region", description="The bucket's region.", default="us-east-1", is_pinned=True),
    Setting(
        key="caFile",
        description="The file with the CA of the S3 endpoint (PEM), where it isn't a public one.",
        is_path=True,
    ),
    Setting(key="accessKey", description="The access key that makes and removes buckets."),
    Setting(key="secretKey", description="The secret of accessKey.", is_secret=True),
    Setting(key="readerAccessKey", description="The access key with which Flux reads the bucket."),
    Setting(key="readerSecretKey", description="The secret of readerAccessKey.", is_secret=True),
    Setting(key="writerAccessKey", description="The access key with which saves are written."),
    Setting(key="writerSecretKey", description="The secret of writerAccessKey.", is_secret=True),
    Setting(
        key="settleMs",
        description="Milliseconds without another change that end a save.",
        kind="integer",
        default=80,
        minimum=0,
        maximum=60_000,
        is_for_loop=True,
    ),
    Setting(
        key="settleCapMs",
        description="Milliseconds after which a save is made while changes still come.",
        kind="integer",
        default=2_000,
        minimum=0,
        maximum=600_000,
        is_for_loop=True,
    ),
    Setting(
        key="pruneLimitPercent",
        description="The share of applied objects that one save may remove unasked.",
        kind="integer",
        default=50,
        minimum=0,
        maximum=100,
        is_for_loop=True,
    ),
)

_BY_KEY: Mapping[str, Setting] = {setting.key: setting for setting in SETTINGS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Hold what was chosen for each key; None where nothing was said and there is no default."""

    target: str | None
    applier: str
    substitute: tuple[str, ...]
    substitute_from: tuple[str, ...]
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
    store: str
    endpoint: str | None
    region: str
    ca_file: str | None
    access_key: str | None
    secret_key: str | None
    reader_access_key: str | None
    reader_secret_key: str | None
    writer_access_key: str | None
    writer_secret_key: str | None
    settle_ms: int
    settle_cap_ms: int
    prune_limit_percent: int

    def __repr__(self) -> str:
        """Leave the secrets out."""
        shown = (
            f"{field.name}={getattr(self, field.name)!r}"
            for field in fields(self)
            if "_key" not in field.name
        )
        return f"Settings({', '.join(shown)})"

    def require(self, key: str) -> str:
        """Return a text that has to be set. Raises UsageError that says where it can be set."""
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
    """Say where values come from, in words for a person."""

    FLAG = "flag"
    ENVIRONMENT = "environment"
    FILE = "settings file"
    STACK = "stack config"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Hold what one place says: keys of the table and raw values; place is the file's path."""

    origin: Origin
    values: Mapping[str, object]
    place: str = ""

    def spell(self, setting: Setting) -> str:
        """Write a key as a person finds it in this place."""
        if self.origin is Origin.FLAG:
            return setting.flag
        if self.origin is Origin.ENVIRONMENT:
            return setting.variable
        if self.origin is Origin.STACK:
            return f"{PROJECT}:{setting.key} in {self.place or 'the stack config'}"
        return f"{setting.key} in {self.place or self.origin}"


def resolve(sources: Sequence[Source]) -> Settings:
    """Choose each key's value from the first source that has it.

    sources: the strongest first: flag, environment, settings file, stack config.
    Raises UsageError on an unknown key or a value that isn't allowed, GuardError where a source contradicts
    what the stack config pins.
    """
    for source in sources:
        _refuse_unknown(source)
    chosen = {setting.attribute: choose(setting, sources) for setting in SETTINGS}
    return Settings(**cast("dict[str, Any]", chosen))


def to_stack_config(settings: Settings) -> dict[str, str]:
    """List what a session's stack keeps, as texts by key: what was said, and no key of the store."""
    kept = {}
    for setting in SETTINGS:
        value = getattr(settings, setting.attribute)
        if value in (None, ()) or setting.is_for_loop or setting.key.endswith("Key"):
            continue
        kept[setting.key] = json.dumps(value) if setting.kind == "array" else str(value)
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
    said = [
        (source, _parse(setting, source, source.values[setting.key]))
        for source in sources
        if source.values.get(setting.key) not in _UNSAID
    ]
    if not said:
        return setting.default
    strongest, value = said[0]
    for source, other in said[1:]:
        if setting.is_pinned and source.origin is Origin.STACK and other != value:
            raise GuardError(
                f"{setting.key} of this session is {other!r} ({source.spell(setting)}), "
                f"and {strongest.spell(setting)} says {value!r}: it is fixed when a session is made",
                hint="leave it as it is, or take the session down first, or choose another session name",
            )
    return value


def _parse(setting: Setting, source: Source, raw: object) -> Value:
    value = _typed(setting, raw)
    if value is None:
        raise _refusal(setting, source, raw, _KIND_NAMES[setting.kind])
    if isinstance(value, int) and not setting.minimum <= value <= setting.maximum:
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
        raise _refusal(setting, source, value, f"a form like {setting.example}")
    return _parse_path(setting, source, value) if setting.key in _WITHIN_ROOT else value


def _typed(setting: Setting, raw: object) -> Value | None:
    if setting.kind == "integer":
        if isinstance(raw, int) and not isinstance(raw, bool):
            return raw
        return int(raw) if isinstance(raw, str) and re.fullmatch(r"-?[0-9]{1,9}", raw) else None
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
    shown = "that value" if setting.is_secret else repr(raw)
    return UsageError(
        f"{source.spell(setting)} can't be {shown}: allowed is {allowed}",
        hint=f"{setting.key}: {setting.description}",
    )
