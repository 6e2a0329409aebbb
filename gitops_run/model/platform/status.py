"""How a platform is, for people and for programs: what is there, what is missing, what may not be seen."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from gitops_run.model.platform.facts import Component, PlatformFacts
from gitops_run.model.platform.objects import MAKER_ROLE, VIEWER_ROLE
from gitops_run.model.platform.platform import POLICIES, describe_flux
from gitops_run.model.rights.lockdown import COMPONENTS, events_go_to, lockdown_of


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectorRun:
    """Say when the collector ran.

    succeeded, started: of its last runs, RFC 3339, "" where there was none. schedule: as cron writes it.
    """

    succeeded: str
    started: str
    schedule: str
    is_suspended: bool

    @property
    def words(self) -> str:
        """Say when it runs, and whether its last run has failed or is under way."""
        if self.is_suspended:
            return "Its CronJob is suspended."
        late = f" The run of {self.started} has not succeeded." if self.started > self.succeeded else ""
        return f"Its CronJob runs at {self.schedule}, in UTC.{late}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentStatus:
    """Hold how one controller is. lockdown: by flag or feature gate, whether it has it. events_to: or ""."""

    name: str
    namespace: str
    image: str
    ready: int
    wanted: int
    is_ready: bool
    lockdown: dict[str, bool]
    events_to: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformStatus:
    """Hold how a platform is. stack: whose it is, "" for nobody's. unread: what may not be read."""

    stack: str
    has_flux: bool
    flux_version: str
    flux_stack: str
    flux: str
    components: tuple[ComponentStatus, ...]
    has_policy: bool
    roles: dict[str, bool]
    sessions: tuple[str, ...]
    unread: tuple[str, ...]


def to_status(facts: PlatformFacts) -> PlatformStatus:
    """Judge a cluster's facts."""
    return PlatformStatus(
        stack=facts.stacks[0] if facts.stacks else "",
        has_flux=facts.has_flux,
        flux_version=facts.version,
        flux_stack=facts.flux_stack,
        flux=describe_flux(facts),
        components=tuple(_component(one) for one in facts.components),
        has_policy=set(POLICIES) <= set(facts.policy),
        roles={name: name in facts.roles for name in (VIEWER_ROLE, MAKER_ROLE)},
        sessions=facts.sessions,
        unread=facts.unread,
    )


def to_json(status: PlatformStatus, context: str) -> dict[str, object]:
    """Write a status for programs."""
    return {"context": context, **asdict(status)}


def rows(status: PlatformStatus) -> list[tuple[str, str]]:
    """Write a status as names and values."""
    nobody = "none was seen" if status.unread else "none"
    found = [("platform", f"the stack {status.stack}'s" if status.stack else nobody), ("flux", status.flux)]
    for one in status.components:
        found += _component_rows(one)
    found.append(("admission policies", _word(status, "ValidatingAdmission", is_there=status.has_policy)))
    found += [
        (f"role {name}", _word(status, f"ClusterRole {name}", is_there=is_there))
        for name, is_there in status.roles.items()
    ]
    found.append(("live sessions", _sessions(status)))
    if status.unread:
        found.append(("may not be read", ", ".join(status.unread)))
    return found


def _component(component: Component) -> ComponentStatus:
    known = component.name in COMPONENTS
    return ComponentStatus(
        name=component.name,
        namespace=component.namespace,
        image=component.image,
        ready=component.ready,
        wanted=component.wanted,
        is_ready=component.ready >= component.wanted > 0,
        lockdown=lockdown_of(component.name, component.arguments) if known else {},
        events_to=events_go_to(component.arguments),
    )


def _component_rows(one: ComponentStatus) -> list[tuple[str, str]]:
    state = "ready" if one.is_ready else f"{one.ready} of {one.wanted} ready"
    found = [(one.name, f"{state}, {one.image}")]
    lacking = [flag for flag, is_there in one.lockdown.items() if not is_there]
    if lacking:
        found.append(("  not locked down", f"lacks {', '.join(lacking)}"))
    elif one.lockdown:
        found.append(("  locked down", ", ".join(one.lockdown)))
    if one.events_to:
        found.append(("  events go to", one.events_to))
    return found


def _word(status: PlatformStatus, what: str, *, is_there: bool) -> str:
    if is_there:
        return "there"
    return "may not be read" if any(one.startswith(what) for one in status.unread) else "missing"


def _sessions(status: PlatformStatus) -> str:
    hidden = any(one.startswith("Bucket") for one in status.unread)
    if hidden and not status.sessions:
        return "may not be read"
    return ", ".join([str(len(status.sessions)), *status.sessions]).replace(", ", ": ", 1)
