"""What a HelmRelease and its HelmChart say, in the words of the one judge of verdicts.

This module maps the two to an ApplierStatus: a release names a chart's version and not a source's revision,
and the chart names the revision that version was built from. Sources: helm-controller 1.6
(internal/controller), source-controller 1.9 (helmchart_controller: a version ends with 12 hex digits of the
revision).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gitops_run.model.flux.conditions import ApplierStatus, find_condition
from gitops_run.model.names import STORE_PREFIX
from gitops_run.model.text.echoes import without_values

CHART_FILE = "Chart.yaml"
"""A target that holds it is a chart."""

_DIGITS = 12
_AFTER_REMEDIATION = ("RollbackSucceeded", "UninstallSucceeded", "RetriesExceeded")
"""Reasons that describe how a failure was cleaned up, and not what failed."""


_GONE = ("uninstalled", "uninstalling")


@dataclass(frozen=True, slots=True, kw_only=True)
class HelmValues:
    """Hold with what a chart is rendered. values_files: paths within root."""

    release_name: str
    values_files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseFacts:
    """Hold what decides how Helm renders the next chart of a release.

    generation: of the HelmChart, which becomes a part of the version where there are values files.
    live_version: of the chart that is deployed, "" where none is. number: of the last release, 0 where there
    is none.
    """

    generation: int = 1
    live_version: str = ""
    number: int = 0

    def is_upgrade(self, version: str) -> bool:
        """Report whether a chart of this version is released by an upgrade.

        What is live already isn't released again: it stays what the release that brought it made of it.
        """
        return self.number > (1 if self.live_version == version else 0)


def to_release_facts(release: dict[str, Any], chart: dict[str, Any]) -> ReleaseFacts:
    """Read the facts from a HelmRelease and its HelmChart; each may be empty."""
    status = release.get("status") or {}
    latest: dict[str, Any] = next(iter(status.get("history") or ()), {})
    is_there = latest.get("status") not in _GONE
    return ReleaseFacts(
        generation=int((chart.get("metadata") or {}).get("generation", 1)),
        live_version=_deployed(status),
        number=int(latest.get("version", 0)) if is_there else 0,
    )


def to_helm_values(release: dict[str, Any]) -> HelmValues:
    """Read from a HelmRelease with what its chart is rendered."""
    spec = release["spec"]
    files = spec["chart"]["spec"].get("valuesFiles") or ()
    return HelmValues(
        release_name=spec["releaseName"],
        values_files=tuple(path.removeprefix(f"./{STORE_PREFIX}") for path in files),
    )


def to_release_status(release: dict[str, Any], chart: dict[str, Any] | None) -> ApplierStatus:
    """Read a HelmRelease and its HelmChart, which isn't there at first, as the API server returns them.

    applied is a revision only where the chart was built from it and this build is what is deployed;
    attempted, where building this chart or releasing it was tried.
    """
    spec, status = release["spec"], release.get("status", {})
    built = _built(chart or {})
    ready, released = find_condition(status, "Ready"), find_condition(status, "Released")
    reported = released if _is_remediated(ready, released) else ready
    attempted = (
        built.revision if built.version and status.get("lastAttemptedRevision") == built.version else ""
    )
    if built.failure:
        attempted, reported = built.revision, built.failure
    entries = (status.get("inventory") or {}).get("entries") or []
    return ApplierStatus(
        path=spec["chart"]["spec"]["chart"],
        is_suspended=bool(spec.get("suspend", False)),
        handled=status.get("lastHandledReconcileAt", ""),
        applied=built.revision if built.version and _deployed(status) == built.version else "",
        attempted=attempted,
        ready=reported.get("status", ""),
        reason=reported.get("reason", ""),
        message=without_values(reported.get("message", "")),
        inventory=tuple(entry["id"] for entry in entries),
        generation=int(release.get("metadata", {}).get("generation", 0)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Built:
    """Hold what a chart was last built from. version: "" where this revision was not built."""

    revision: str = ""
    version: str = ""
    failure: Mapping[str, Any]


def _built(chart: dict[str, Any]) -> _Built:
    status = chart.get("status", {})
    revision = status.get("observedSourceArtifactRevision", "")
    version = (status.get("artifact") or {}).get("revision", "")
    ready = find_condition(status, "Ready")
    failure = ready if ready.get("status") == "False" else {}
    digits = revision.rpartition(":")[2][:_DIGITS]
    is_of_this = bool(digits) and digits in version.partition("+")[2]
    return _Built(revision=revision, version=version if is_of_this else "", failure=failure)


def _deployed(status: dict[str, Any]) -> str:
    latest: dict[str, Any] = next(iter(status.get("history") or ()), {})
    return str(latest.get("chartVersion", "")) if latest.get("status") == "deployed" else ""


def _is_remediated(ready: Mapping[str, Any], released: Mapping[str, Any]) -> bool:
    is_failed = ready.get("status") == "False" and released.get("status") == "False"
    return is_failed and ready.get("reason") in _AFTER_REMEDIATION
