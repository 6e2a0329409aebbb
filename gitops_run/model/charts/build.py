"""What source-controller makes of a chart's files before helm-controller renders them.

The chart gets a version of its own, and dependencies that lie elsewhere in the source are put into its
charts/. Source: source-controller 1.9, internal/helm/chart (builder_local, dependency_manager).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import yaml

from gitops_run.model.flux.helm_release import CHART_FILE
from gitops_run.model.names import STORE_PREFIX
from gitops_run.model.objects.identity import mapping
from gitops_run.model.store.objects import StoredObject, flux_revision
from gitops_run.model.text import yaml_limits
from gitops_run.model.tree.tree import Tree

VALUES_FILE: Final = "values.yaml"

_DIGITS: Final = 12
_DECIMAL = re.compile(r"\d+\.\d+")
_USER = re.compile(r"(?<=://)[^/@\s]+@")
_SEMVER = re.compile(r"v?(\d+)(?:\.(\d+))?(?:\.(\d+))?(-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalDependency:
    """Name a chart that is a dependency of another. path: within root; it may be "../…" and lie outside."""

    name: str
    path: str


class NotRenderableError(Exception):
    """Report that only Flux can render a chart, and why: it fetches a part of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteDependency:
    """Name a chart that source-controller fetches. repository: without credentials."""

    name: str
    repository: str

    @property
    def is_fetched(self) -> bool:
        """Report whether source-controller fetches from such a repository."""
        return self.repository.startswith(("https://", "http://", "oci://"))


def revision_of(tree: Tree) -> str:
    """Compute the revision of a Bucket that holds just this tree, where ETags are MD5."""
    return flux_revision(
        StoredObject(key=f"{STORE_PREFIX}{path}", etag=digest, size=0)
        for path, digest in tree.digests.items()
    )


def version_suffix(revision: str, generation: int | None) -> str:
    """Write what source-controller appends to a chart's version.

    generation: the HelmChart's; None where it names no values files.
    """
    digits = revision.rpartition(":")[2][:_DIGITS]
    return digits if generation is None else f"{digits}.{generation}"


def built_version(text: str, suffix: str) -> str:
    """Compute the version of the chart that is built of a Chart.yaml; "" where it can't be read."""
    node = _scalar(text, "version")
    parts = _SEMVER.match(_as_go_reads(node)) if node is not None else None
    if parts is None:
        return ""
    numbers = ".".join(str(int(parts[index] or 0)) for index in (1, 2, 3))
    return f"{numbers}{parts[4] or ''}+{suffix}"


def with_version(text: str, version: str) -> str:
    """Put another version into a Chart.yaml; one that can't be read is left for helm to refuse.

    All other text stays, so that what helm says of lines stays true.
    """
    node = _scalar(text, "version")
    if node is None or not version:
        return text
    return f'{text[: node.start_mark.index]}"{version}"{text[node.end_mark.index :]}'


def as_packaged(text: str) -> str:
    """Write a Chart.yaml as packaging leaves it: one of v1 loses the dependencies that it declares.

    Those in requirements.yaml stay. The key gets a name that means nothing, so that lines and anchors stay.
    Source: Helm 4, chart/v2/util/save.go and chart/v2/loader/load.go.
    """
    root = _root(text)
    if root is None:
        return text
    version = _scalar(text, "apiVersion")
    if version is not None and version.value not in ("", "v1"):
        return text
    for key in [key for key, _ in reversed(root.value) if str(key.value).lower() == "dependencies"]:
        text = f"{text[: key.start_mark.index]}packaged-without{text[key.end_mark.index :]}"
    return text


def chart_name(text: str) -> str:
    """Read the name in a Chart.yaml; "" where it can't be read."""
    return str(_read(text).get("name") or "")


def aliases(text: str) -> Mapping[str, str]:
    """Map the other names that a Chart.yaml gives to dependencies to their own."""
    entries = _read(text).get("dependencies")
    found = [mapping(entry) for entry in entries] if isinstance(entries, list) else []
    return {str(entry["alias"]): str(entry.get("name")) for entry in found if entry.get("alias")}


def missing_dependencies(
    files: Mapping[str, str | None], present: Iterable[str], target: str
) -> tuple[LocalDependency, ...]:
    """List the dependencies within the source that a chart's charts/ lacks.

    files: the texts of Chart.yaml, Chart.lock, requirements.yaml and requirements.lock. present: the names of
    the charts in charts/. A lock takes precedence.
    """
    missing = (
        LocalDependency(name=str(entry.get("name")), path=_local_path(entry, target))
        for entry in _missing(files, present)
        if _is_local(entry) and _is_named(entry)
    )
    return tuple(dict.fromkeys(missing))


def remote_dependencies(
    files: Mapping[str, str | None], present: Iterable[str]
) -> tuple[RemoteDependency, ...]:
    """List the dependencies from elsewhere that a chart's charts/ lacks, as missing_dependencies does."""
    return tuple(
        RemoteDependency(
            name=str(entry.get("name")), repository=_USER.sub("***@", str(entry.get("repository")))
        )
        for entry in _missing(files, present)
        if not _is_local(entry) and _is_named(entry)
    )


def _missing(files: Mapping[str, str | None], present: Iterable[str]) -> list[Mapping[str, Any]]:
    declared: list[Any] = []
    for name in ("requirements.yaml", CHART_FILE, "requirements.lock", "Chart.lock"):
        found = _read(files.get(name) or "").get("dependencies")
        declared = found if isinstance(found, list) and found else declared
    there = list(present)
    if len(there) == len(declared):
        return []
    entries = [mapping(entry) for entry in declared]
    return [entry for entry in entries if (entry.get("alias") or entry.get("name")) not in there]


def _is_local(entry: Mapping[str, Any]) -> bool:
    return str(entry.get("repository") or "file://").startswith("file://")


def _is_named(entry: Mapping[str, Any]) -> bool:
    """Report whether the name can be a folder's; helm refuses another one."""
    name = entry.get("name")
    return isinstance(name, str) and name not in ("", ".", "..") and "/" not in name and "\0" not in name


def _local_path(entry: Mapping[str, Any], target: str) -> str:
    """Resolve a dependency's place from its chart; what is no URL has a place that can't be there."""
    repository = str(entry.get("repository") or "")
    if not repository:
        return posixpath.normpath(f"{target}/charts/{entry.get('name')}")
    try:
        url = urlsplit(repository)
    except ValueError:
        return f"../{repository}"
    return posixpath.normpath(f"{target}/{url.netloc}/{unquote(url.path)}")


def _as_go_reads(node: yaml.ScalarNode) -> str:
    """Read a text as Go does: without quotes, 1.10 is a number first, and then the text 1.1."""
    text = str(node.value)
    is_number = not node.style and _DECIMAL.fullmatch(text) is not None
    return text.rstrip("0").removesuffix(".") if is_number else text


def _root(text: str) -> yaml.MappingNode | None:
    try:
        root = next(yaml_limits.compose_all(text), None)
    except (yaml.YAMLError, ValueError, RecursionError):
        return None
    return root if isinstance(root, yaml.MappingNode) else None


def _scalar(text: str, key: str) -> yaml.ScalarNode | None:
    root = _root(text)
    found = [value for name, value in root.value if name.value == key] if root is not None else []
    return found[-1] if found and isinstance(found[-1], yaml.ScalarNode) else None


def _read(text: str) -> Mapping[str, Any]:
    try:
        return mapping(yaml_limits.load(text))
    except (yaml.YAMLError, ValueError, RecursionError):
        return {}
