"""A platform as values: settings, facts about a cluster, and the objects to create there.

One stack is one cluster's platform: Flux with its lockdown, or the Flux that is found there, and what
sessions need in addition. This module knows no Pulumi, no cluster and no file.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from gitops_run.errors import BackendError, GuardError, UsageError
from gitops_run.model.manifests.session import Manifest
from gitops_run.model.names import NAME_MAX, suggest_name
from gitops_run.model.platform.admission import POLICY_KINDS
from gitops_run.model.platform.collector import Collector
from gitops_run.model.platform.facts import PlatformFacts
from gitops_run.model.platform.flux_install import FluxChoice, install
from gitops_run.model.platform.objects import MAKER_ROLE, POLICY_NAMES, VIEWER_ROLE
from gitops_run.model.platform.setting_table import PLATFORM_SETTINGS
from gitops_run.model.rights.lockdown import COMPONENTS
from gitops_run.model.rights.pod_security import RESTRICTED
from gitops_run.model.session.isolation import (
    NAMESPACE,
    IsolationRules,
    parse_quota,
    refuse_default_quota,
)
from gitops_run.model.session.isolation import NO_RULES as NO_ISOLATION_RULES
from gitops_run.model.session.limits import NO_RULES, Duration, TimeRules
from gitops_run.model.session.setting_table import to_attribute
from gitops_run.model.session.settings import Origin, Source, Value, choose
from gitops_run.model.session.spec import ClusterPin
from gitops_run.model.session.teams import parse_team_quotas

PLATFORM_PROJECT: Final = "gitops-run-platform"
FLUX_AT_LEAST: Final = (2, 7)
INSTALLS_AT_LEAST: Final = (2, 8)
"""The first whose helm-controller knows the feature gate that the lockdown switches on."""

_DIGEST: Final = 8
_KEPT: Final = ("fluxVersion", "sessionPodSecurity", "sessionIsolation")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformSettings:
    """Hold what was chosen for each key; None where nothing was said and there is no default."""

    context: str | None
    kubeconfig: str | None
    cluster: str | None
    allow_contexts: tuple[str, ...]
    flux_version: str
    flux_manifests: str | None
    flux_registry: str | None
    flux_receiver: str | None
    session_pod_security: str = RESTRICTED
    session_isolation: str = NAMESPACE
    session_quota: tuple[str, ...] = ()
    session_max_quota: tuple[str, ...] = ()
    team_quota: tuple[str, ...] = ()
    session_ingress_from: tuple[str, ...] = ()
    session_ttl: str | None = None
    session_max_ttl: str | None = None
    session_idle_limit: str | None = None
    session_max_idle_limit: str | None = None
    collector_image: str | None = None
    collector_schedule: str = "*/10 * * * *"

    @property
    def collector(self) -> Collector | None:
        """Say how the collector runs in the cluster; None where it doesn't."""
        image = self.collector_image
        return Collector(image=image, schedule=self.collector_schedule) if image else None

    @property
    def time(self) -> TimeRules:
        """Bring the rules for sessions' TTL and idle limit together."""
        return TimeRules(
            ttl=Duration.read(self.session_ttl or ""),
            max_ttl=Duration.read(self.session_max_ttl or ""),
            idle=Duration.read(self.session_idle_limit or ""),
            max_idle=Duration.read(self.session_max_idle_limit or ""),
        )

    @property
    def isolation(self) -> IsolationRules:
        """Bring the rules for sessions' isolation and quota together."""
        return IsolationRules(
            allowed=self.session_isolation,
            quota=parse_quota(self.session_quota),
            max_quota=parse_quota(self.session_max_quota),
            teams=parse_team_quotas(self.team_quota),
            ingress_from=self.session_ingress_from,
        )

    @property
    def manifests(self) -> str:
        """Name the file or URL of Flux's manifests."""
        releases = "https://github.com/fluxcd/flux2/releases/download"
        return self.flux_manifests or f"{releases}/v{self.flux_version}/install.yaml"

    def require(self, key: str) -> str:
        """Return a required text. Raises UsageError that says where it can be set."""
        setting = next(setting for setting in PLATFORM_SETTINGS if setting.key == key)
        value = getattr(self, setting.attribute)
        if value is None:
            raise UsageError(
                f"{key} is not set: {setting.description}", hint=f"set {setting.variable}, or {setting.flag}"
            )
        return str(value)


POLICIES: Final = tuple(f"{kind} {name}" for name in POLICY_NAMES for kind in POLICY_KINDS)
PARTS: Final = (*POLICIES, VIEWER_ROLE, MAKER_ROLE)
"""What every platform has, whosever its Flux is."""
NEEDED_KINDS: Final = (
    "source.toolkit.fluxcd.io/v1 Bucket",
    "kustomize.toolkit.fluxcd.io/v1 Kustomization",
    "helm.toolkit.fluxcd.io/v2 HelmRelease",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformSpec:
    """Describe one cluster's platform completely.

    flux: its manifests, none where Flux was found. pod_security: the least strict level of sessions. time:
    the rules for their TTL and idle limit. isolation: those for their isolation and quota. collector: None
    where gc doesn't run in the cluster.
    """

    stack: str
    cluster: ClusterPin
    flux: tuple[Manifest, ...]
    version: str
    pod_security: str = RESTRICTED
    time: TimeRules = NO_RULES
    collector: Collector | None = None
    isolation: IsolationRules = NO_ISOLATION_RULES


def resolve_platform(sources: Sequence[Source]) -> PlatformSettings:
    """Choose each key's value from the first source that has it. Raises as settings.resolve."""
    for source in sources:
        _refuse_unknown(source)
    chosen = {setting.attribute: choose(setting, sources) for setting in PLATFORM_SETTINGS}
    settings = PlatformSettings(**cast("dict[str, Any]", chosen))
    if _numbers(settings.flux_version) < INSTALLS_AT_LEAST:
        raise UsageError(
            f"fluxVersion is {settings.flux_version}, and 2.8.0 or later can be installed",
            hint="leave it out to use the tested release",
        )
    for default, most in (("sessionTtl", "sessionMaxTtl"), ("sessionIdleLimit", "sessionMaxIdleLimit")):
        _refuse_beyond(settings, default, most)
    refuse_default_quota(settings.isolation.quota, settings.isolation.max_quota)
    return settings


def _refuse_beyond(settings: PlatformSettings, default: str, most: str) -> None:
    """Refuse a default that the maximum doesn't allow. Raises UsageError."""
    said, limit = (getattr(settings, to_attribute(key)) for key in (default, most))
    longest = Duration.read(limit or "")
    if said is None or longest is None:
        return
    wanted = Duration.read(said)
    if wanted is None or wanted > longest:
        raise UsageError(f"{default} is {said}, and {most} allows {limit}", hint=f"choose at most {limit}")


def _refuse_unknown(source: Source) -> None:
    """Refuse what a stack's file says and nobody knows. The settings file holds sessions' settings too."""
    known = [setting.key for setting in PLATFORM_SETTINGS]
    for key in source.values if source.origin is Origin.STACK else ():
        if key not in known:
            raise UsageError(
                f"unknown setting {key!r} in {source.place}", hint=f"known settings: {', '.join(known)}"
            )


def to_platform_config(settings: PlatformSettings) -> dict[str, str]:
    """List what the stack keeps, as texts by key: what was said, where it isn't a default.

    The version is always kept: a newer gitops-run must not install another Flux on its own. So is the Pod
    Security of sessions, so that a stricter one takes the place of the one that the stack has.
    """
    kept = {}
    for setting in PLATFORM_SETTINGS:
        value: Value | None = getattr(settings, setting.attribute)
        if value in (None, (), setting.default) and setting.key not in _KEPT:
            continue
        kept[setting.key] = _config_text(value)
    return kept


def _config_text(value: Value | None) -> str:
    if isinstance(value, tuple):
        words = ", ".join(f'"{word}"' for word in value)
        return f"[{words}]"
    return str(value)


def stack_name(context: str) -> str:
    """Name the stack of a context's cluster. A context that is no name gets one of its own, by a digest."""
    name = suggest_name(context)
    if name == context:
        return name
    digest = hashlib.sha256(context.encode()).hexdigest()[:_DIGEST]
    return f"{name[: NAME_MAX - _DIGEST - 1].rstrip('-')}-{digest}"


def is_to_install(facts: PlatformFacts) -> bool:
    """Decide whether Flux is ours to declare: where there is none, or a platform's stack has made it."""
    return bool(facts.flux_stack) or not facts.has_flux


def has_lost(facts: PlatformFacts, stack: str) -> bool:
    """Report whether something that a stack has made is gone: its state knows nothing of that yet."""
    parts = {*facts.policy, *facts.roles}
    if facts.flux_stack == stack:
        parts |= {*facts.kinds, *(one.name for one in facts.components)}
        return len(parts) < len((*PARTS, *NEEDED_KINDS, *COMPONENTS))
    return stack in facts.stacks and len(parts) < len(PARTS)


def refuse_foreign_platform(facts: PlatformFacts, stack: str) -> None:
    """Refuse a cluster whose platform is another stack's. Raises GuardError."""
    for other in facts.stacks:
        if other != stack:
            raise GuardError(
                f"this cluster's platform belongs to stack {other}, not to {stack}",
                hint=f"use the context that {other} was created with, or take down that one first",
            )


def refuse_found(facts: PlatformFacts) -> None:
    """Refuse a Flux that is too old, if that is known, or that lacks what sessions need.

    No controller seen at all is no refusal: it may run elsewhere. Raises UsageError.
    """
    if facts.version and _numbers(facts.version) < FLUX_AT_LEAST:
        raise UsageError(
            f"this cluster's Flux is {facts.version}, and 2.7 or later is required",
            hint="upgrade it the way it was installed: the platform doesn't change it",
        )
    lacking = [kind for kind in NEEDED_KINDS if kind not in facts.kinds]
    if facts.components:
        names = {component.name for component in facts.components}
        lacking += [name for name in COMPONENTS if name not in names]
    if lacking:
        raise UsageError(
            f"this cluster's Flux has no {', no '.join(lacking)}",
            hint="add it the way Flux was installed, for example: flux install --components="
            + ",".join(COMPONENTS),
        )


def describe_flux(facts: PlatformFacts) -> str:
    """Describe in a sentence which Flux there is."""
    if not facts.has_flux:
        return "no Flux was found" if facts.unread else "there is no Flux"
    version = f"Flux {facts.version}" if facts.version else "Flux of an unknown version"
    whose = (
        f"installed by the stack {facts.flux_stack}"
        if facts.flux_stack
        else "already there, and left unchanged"
    )
    if not facts.components:
        return f"{version} {whose}: its kinds are served, but no controller was found"
    return f"{version} {whose}"


def refuse_in_use(facts: PlatformFacts, *, has_flux: bool) -> None:
    """Refuse to take a platform away that is in use. has_flux: Flux goes too. Raises GuardError."""
    if facts.sessions:
        names = ", ".join(sorted(facts.sessions))
        first = min(facts.sessions).rpartition("/")[2]
        raise GuardError(f"this platform has sessions: {names}", hint=f"end them: gitops-run down {first}")
    if has_flux and facts.others:
        raise GuardError(
            f"this would remove Flux, which is in use: {', '.join(sorted(facts.others)[:5])}",
            hint="remove these first: nothing would manage the objects that they applied",
        )


def refuse_other_cluster(settings: PlatformSettings, facts: PlatformFacts) -> None:
    """Refuse a context that leads to another cluster than the stack was made in. Raises GuardError."""
    if settings.cluster and settings.cluster != facts.uid:
        raise GuardError(
            f"this platform was created in another cluster (kube-system {settings.cluster}) than the "
            "one that "
            f"context {settings.context!r} points to now ({facts.uid})",
            hint="if the old cluster is gone for good: gitops-run platform down --cluster-gone",
        )


def _numbers(version: str) -> tuple[int, int]:
    found = re.match(r"v?(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2])) if found else FLUX_AT_LEAST


def refuse_unread(facts: PlatformFacts) -> None:
    """Refuse to act where something could be there that this user doesn't see. Raises BackendError."""
    if facts.unread:
        raise BackendError(
            f"you may not read {', '.join(facts.unread)}, which managing a platform requires",
            hint="ask an administrator of the cluster",
        )


def needs_manifests(stack: str, settings: PlatformSettings, facts: PlatformFacts) -> bool:
    """Look at a cluster before anything is made there, and decide whether Flux is to be declared.

    Raises GuardError on another cluster or another stack's platform, UsageError on a Kubernetes or Flux that
    doesn't do, BackendError where too little may be read to decide.
    """
    refuse_unread(facts)
    refuse_other_cluster(settings, facts)
    refuse_foreign_platform(facts, stack)
    if not facts.can_bound:
        raise UsageError(
            "this cluster has no ValidatingAdmissionPolicy, which restricts what sessions may do",
            hint="upgrade it to Kubernetes 1.30 or later",
        )
    if is_to_install(facts):
        return True
    refuse_found(facts)
    return False


def make_spec(
    stack: str, settings: PlatformSettings, facts: PlatformFacts, documents: Sequence[Manifest]
) -> PlatformSpec:
    """Make a spec. documents: upstream's, none where Flux was found. Raises UsageError as install."""
    pin = ClusterPin(
        kubeconfig=settings.require("kubeconfig"), context=settings.require("context"), uid=facts.uid
    )
    flux = install(documents, flux_choice(stack, settings)) if documents else ()
    return PlatformSpec(
        stack=stack,
        cluster=pin,
        flux=flux,
        version=settings.flux_version,
        pod_security=settings.session_pod_security,
        time=settings.time,
        collector=settings.collector,
        isolation=settings.isolation,
    )


def flux_choice(stack: str, settings: PlatformSettings) -> FluxChoice:
    """Describe how the settings want Flux."""
    return FluxChoice(
        stack=stack,
        version=settings.flux_version,
        registry=settings.flux_registry or "",
        receiver=settings.flux_receiver or "",
    )


def platform_outputs(spec: PlatformSpec) -> Mapping[str, str]:
    """List the outputs of a platform's stack."""
    return {"context": spec.cluster.context, "flux": f"v{spec.version}" if spec.flux else "found"}
