"""Compose what looks at a session's files, for the loop and for `diff`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gitops_run.adapters.cluster.charts import ClusterCharts
from gitops_run.adapters.cluster.connection import Connection
from gitops_run.adapters.cluster.discovery import Discovery
from gitops_run.adapters.cluster.dry_run import ClusterDryRun, SeenSecrets
from gitops_run.adapters.cluster.post_build import PostBuild
from gitops_run.adapters.cluster.sessions import LiveSession
from gitops_run.adapters.files import WorkTree, find_root
from gitops_run.adapters.machine.remembered import remembered_root
from gitops_run.adapters.render.children import Limits
from gitops_run.adapters.render.helm import Helm
from gitops_run.adapters.render.kubectl import Kustomize
from gitops_run.errors import UsageError
from gitops_run.flows.judgement import InspectionSettings, Live, Preflight
from gitops_run.flows.ports import Emit, Renderer
from gitops_run.flows.preflight import Inspector
from gitops_run.model.objects.ownership import SessionPlace
from gitops_run.model.session.settings import Settings
from gitops_run.model.text.masking import Masker
from gitops_run.model.tree.snapshot import Snapshot
from gitops_run.sandbox.first_use import ensure_chart_programs

# A controller of Flux applies under its own name.
_KUSTOMIZE_MANAGER: Final = "kustomize-controller"
_HELM_MANAGER: Final = "helm-controller"


def work_tree(session: LiveSession, root: Path, stage: Path, emit: Emit = lambda _: None) -> WorkTree:
    """Watch what a session needs of a root. stage: a folder for copies."""
    also = session.helm.values_files if session.helm else ()
    return WorkTree(root, stage, session.target, also, emit, is_chart=session.helm is not None)


def root_of(session: LiveSession, named: Path | None, history: Path, here: Path) -> Path:
    """Find the session's root: the given one, otherwise the one around here, or the remembered one.

    history: the folder of the session's history. Raises UsageError where none of them can be it.
    """
    if named is not None:
        return find_root(named, named)
    around = find_root(here)
    is_namesake = around.name == session.root
    if is_namesake and (around / session.target).is_dir():
        return around
    if (remembered := remembered_root(history)) is not None:
        return remembered
    if is_namesake:
        return around
    raise UsageError(
        f"session {session.name} watches a directory {session.root!r}, but this one is {around}",
        hint="name that directory: --root DIR",
    )


def render_limits(settings: Settings) -> Limits:
    """Read the limits of what renders from the settings."""
    return Limits(
        time_s=settings.render_timeout_s,
        memory_mb=settings.render_memory_mb,
        output_mb=settings.render_output_mb,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """Describe how a session's files are inspected.

    work: a folder for rendering, made when needed. environment: variables that say which sandbox is in use.
    masker: learns what the session has of Secrets. emit: takes what a person should know of a snapshot.
    """

    work: Path
    environment: Mapping[str, str]
    limits: Limits
    masker: Masker
    emit: Emit = lambda _: None
    has_dry_run: bool = True


class RenewedInspector:
    """Compose an inspector, and again once `up` has changed what the session does with its files."""

    def __init__(self, compose: Callable[[], Awaitable[Inspector]], generation: Callable[[], int]) -> None:
        """generation: returns the current one of the session's Kustomization or HelmRelease."""
        self._compose = compose
        self._generation = generation
        self._inspector: tuple[int, Inspector] | None = None

    async def inspect(self, snapshot: Snapshot, live: Live, mark: Callable[[str], None]) -> Preflight:
        """Build a snapshot and check every object of it that changed. Raises as Inspector, and as compose."""
        generation = self._generation()
        if self._inspector is None or self._inspector[0] != generation:
            self._inspector = (generation, await self._compose())
        return await self._inspector[1].inspect(snapshot, live, mark)


async def compose_inspector(
    connection: Connection, session: LiveSession, then: PostBuild, inspection: Inspection
) -> Inspector:
    """Make an inspector of a session's saves. then: what its Kustomization does after the build."""
    work, limits, masker = inspection.work, inspection.limits, inspection.masker
    renderer: Renderer
    discovery = Discovery(connection)
    if session.helm is not None:
        await ensure_chart_programs(inspection.environment)
        release = ClusterCharts(connection, session.namespace, session.name)
        renderer = Helm(
            session.namespace, session.helm, work, discovery, release=release, masker=masker, limits=limits
        )
    else:
        namespace = "" if then.is_wide else session.namespace
        renderer = Kustomize(namespace, work, masker, limits, is_decrypted=then.has_decryption_key)
    settings = InspectionSettings(
        target=session.target,
        session=SessionPlace(name=session.name, namespace=session.namespace, is_wide=then.is_wide),
        variables=then.variables,
        has_decryption_key=then.has_decryption_key,
        has_dry_run=inspection.has_dry_run,
        is_chart=session.helm is not None,
    )
    manager = _HELM_MANAGER if session.helm is not None else _KUSTOMIZE_MANAGER
    seen = SeenSecrets(masker=masker, names=then.secrets)
    cluster = ClusterDryRun(connection, session.namespace, discovery, manager, seen)
    return Inspector(renderer, cluster, settings, masker, inspection.emit)
