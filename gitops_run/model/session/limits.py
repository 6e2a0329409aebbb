"""How long a session lives and how long it may be left alone, and what the platform allows of both.

Durations as people write them (8h, 3d, 90m), the annotations that carry them, and the admission policy by
which a platform sets defaults and maxima. Reads no clock. Source: CEL's duration and timestamp, RFC 3339.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from gitops_run.errors import GuardError, UsageError
from gitops_run.model.names import (
    CREATED_ANNOTATION,
    EXPIRES_ANNOTATION,
    EXTENDED_ANNOTATION,
    IDLE_LIMIT_ANNOTATION,
    TTL_ANNOTATION,
)
from gitops_run.model.rights.access import FLUX_SOURCE_GROUP
from gitops_run.model.rights.policy import annotations_in, of_sessions, requests_to

NEVER: Final = "never"
DURATION: Final = r"(?=[1-9])([0-9]{1,4}d)?([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,8}s)?"
DURATION_OR_NEVER: Final = rf"{NEVER}|{DURATION}"
TIME_POLICY: Final = "gitops-run-session-time"
_UNITS: Final = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))
_CHANGES: Final = (
    CREATED_ANNOTATION,
    EXPIRES_ANNOTATION,
    EXTENDED_ANNOTATION,
    IDLE_LIMIT_ANNOTATION,
)


@dataclass(frozen=True, slots=True, order=True)
class Duration:
    """Hold a time of at least one second."""

    seconds: int

    @classmethod
    def parse(cls, text: str) -> Duration:
        """Parse what a person typed. Raises UsageError."""
        duration = cls.read(text)
        if duration is None:
            raise UsageError(f"{text!r} is not a duration", hint="write it like 90m, 8h, 3d or 1h30m")
        return duration

    @classmethod
    def read(cls, text: str) -> Duration | None:
        """Read what an annotation or a setting says; None for never, and for what is no duration."""
        if not text or not re.fullmatch(DURATION, text):
            return None
        sizes = dict(_UNITS)
        return cls(sum(int(number) * sizes[unit] for number, unit in re.findall(r"([0-9]+)([dhms])", text)))

    @property
    def for_cel(self) -> str:
        """Write it without days, which neither Go nor CEL knows: 72h0m0s is 72h."""
        return _write(self.seconds, _UNITS[1:])

    @property
    def delta(self) -> timedelta:
        """Give it as Python's difference of times."""
        return timedelta(seconds=self.seconds)

    @property
    def rough(self) -> str:
        """Write it with its two largest units: 1d2h."""
        first = next((at for at, (_, size) in enumerate(_UNITS) if self.seconds >= size), len(_UNITS) - 1)
        return _write(self.seconds, _UNITS[first : first + 2]) or "0s"

    def __str__(self) -> str:
        """Write it as people do: 1d2h3m4s."""
        return _write(self.seconds, _UNITS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Say how long a session lives, and how long it may stay without a save. None: as long as it likes."""

    ttl: Duration | None = None
    idle: Duration | None = None


NO_LIMITS: Final = Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetime:
    """Hold a session's limits, and when it ends: expires by its stack's word, extended if that is later."""

    limits: Limits = NO_LIMITS
    expires: str = ""
    extended: str = ""

    @property
    def ends_at(self) -> datetime | None:
        """Say when the TTL is over; None where there is none."""
        return latest(self.expires, self.extended) if self.limits.ttl else None

    @property
    def warns_at(self) -> datetime | None:
        """Say when a tenth of the TTL is left, which people are warned of; None where there is none."""
        return self.ends_at - self.limits.ttl.delta / 10 if self.ends_at and self.limits.ttl else None

    def idle_at(self, *uses: str) -> datetime | None:
        """Say when the idle limit is over, which begins again with each use; None where there is none.

        uses: RFC 3339, or "".
        """
        since, limit = latest(*uses), self.limits.idle
        return since + limit.delta if since and limit else None


NO_END: Final = Lifetime()


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeRules:
    """Hold what a platform sets of limits. A default is for sessions that say nothing; None sets nothing."""

    ttl: Duration | None = None
    max_ttl: Duration | None = None
    idle: Duration | None = None
    max_idle: Duration | None = None


NO_RULES: Final = TimeRules()

RULE_ANNOTATIONS: Final[Mapping[str, str]] = {
    "ttl": "gitops-run.dev/session-ttl",
    "max_ttl": "gitops-run.dev/session-max-ttl",
    "idle": "gitops-run.dev/session-idle-limit",
    "max_idle": "gitops-run.dev/session-max-idle-limit",
}
"""On the policy: each rule by its field."""


def choose_limits(ttl: str | None, idle: str | None, rules: TimeRules) -> Limits:
    """Choose a session's limits: what its settings say, else the platform's default, else its maximum."""
    return Limits(
        ttl=Duration.read(ttl) if ttl else rules.ttl or rules.max_ttl,
        idle=Duration.read(idle) if idle else rules.idle or rules.max_idle,
    )


def refuse_limits(limits: Limits, rules: TimeRules) -> None:
    """Refuse limits beyond the platform's maximum. Raises GuardError that names the rule."""
    for what, wanted, most, rule in (
        ("ttl", limits.ttl, rules.max_ttl, "sessionMaxTtl"),
        ("idleLimit", limits.idle, rules.max_idle, "sessionMaxIdleLimit"),
    ):
        if most is not None and (wanted is None or wanted > most):
            raise GuardError(
                f"{what} {wanted or NEVER} is not allowed on this platform: its rule {rule} allows {most}",
                hint=f"choose at most {most}, or leave {what} out",
            )


def latest(*moments: str) -> datetime | None:
    """Find the latest of these; None where none of them is a time."""
    return max((found for found in map(read_time, moments) if found), default=None)


def refuse_ended(name: str, end: datetime | None, now: str) -> None:
    """Refuse to bring a session up whose time is over: the next gc would end it. Raises GuardError."""
    moment = read_time(now)
    if end is not None and moment is not None and end <= moment:
        raise GuardError(
            f"the TTL of session {name} ended at {write_time(end)}: the next gc ends it",
            hint="extend it: gitops-run extend NAME; or, where it had no TTL before, choose a longer ttl",
        )


def time_annotations(limits: Limits, created: str) -> dict[str, str]:
    """Write the annotations of a session's limits. created: RFC 3339."""
    said = {}
    if limits.ttl:
        said[TTL_ANNOTATION] = limits.ttl.for_cel
        said[EXPIRES_ANNOTATION] = expires(limits, created)
    if limits.idle:
        said[IDLE_LIMIT_ANNOTATION] = limits.idle.for_cel
    return said


def expires(limits: Limits, created: str) -> str:
    """Say when a session ends that was made then, RFC 3339; "" where it doesn't."""
    made = read_time(created)
    return write_time(made + limits.ttl.delta) if limits.ttl and made else ""


def read_lifetime(annotations: Mapping[str, str]) -> Lifetime:
    """Read those annotations; what can't be read limits nothing."""
    limits = Limits(
        ttl=Duration.read(annotations.get(TTL_ANNOTATION, "")),
        idle=Duration.read(annotations.get(IDLE_LIMIT_ANNOTATION, "")),
    )
    expires, extended = (annotations.get(key, "") for key in (EXPIRES_ANNOTATION, EXTENDED_ANNOTATION))
    return Lifetime(limits=limits, expires=expires, extended=extended)


def read_time(text: str) -> datetime | None:
    """Read RFC 3339; None where it isn't."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else None


def write_time(moment: datetime) -> str:
    """Write RFC 3339 in UTC, to the second."""
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def read_rules(annotations: Mapping[str, str]) -> TimeRules:
    """Read a platform's rules from its policy; what can't be read sets nothing."""
    said = {
        field: Duration.read(annotations.get(annotation, ""))
        for field, annotation in RULE_ANNOTATIONS.items()
    }
    return TimeRules(**said)


def rule_annotations(rules: TimeRules) -> dict[str, str]:
    """Write a platform's rules as annotations of its policy."""
    said = {annotation: getattr(rules, field) for field, annotation in RULE_ANNOTATIONS.items()}
    return {annotation: duration.for_cel for annotation, duration in said.items() if duration}


def time_policy(rules: TimeRules) -> dict[str, Any]:
    """Write the spec of the policy that refuses a session's Flux Bucket with limits beyond the rules.

    It binds everybody. A session that was made before a rule is refused only when its limits are changed.
    """
    validations = [
        {
            "expression": " && ".join(
                f"(!('{name}' in variables.now) || timestamp(variables.now['{name}']) >"
                f" timestamp(variables.now['{CREATED_ANNOTATION}']))"
                for name in (EXPIRES_ANNOTATION, EXTENDED_ANNOTATION)
            ),
            "message": "a session ends after it was created, at a time like 2026-11-25T20:46:04Z",
        }
    ]
    if rules.max_ttl:
        most = f"timestamp(variables.now['{CREATED_ANNOTATION}']) + duration('{rules.max_ttl.for_cel}')"
        within = f"timestamp(variables.now['%s']) <= {most}"
        validations.append(
            {
                "expression": f"'{EXPIRES_ANNOTATION}' in variables.now"
                f" && {within % EXPIRES_ANNOTATION}"
                f" && (!('{EXTENDED_ANNOTATION}' in variables.now) || {within % EXTENDED_ANNOTATION})",
                "message": f"the platform's rule sessionMaxTtl ends a session {rules.max_ttl} after it was "
                "created",
            }
        )
    if rules.max_idle:
        validations.append(
            {
                "expression": f"'{IDLE_LIMIT_ANNOTATION}' in variables.now"
                f" && duration(variables.now['{IDLE_LIMIT_ANNOTATION}']) <="
                f" duration('{rules.max_idle.for_cel}')",
                "message": f"the platform's rule sessionMaxIdleLimit allows {rules.max_idle}",
            }
        )
    return {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "resourceRules": [requests_to(FLUX_SOURCE_GROUP, "buckets", "CREATE", "UPDATE")],
            "objectSelector": of_sessions(),
        },
        "matchConditions": [{"name": "limits-change", "expression": _changed()}],
        "variables": [{"name": "now", "expression": annotations_in("object")}],
        "validations": validations,
    }


def _changed() -> str:
    now, before = f"({annotations_in('object')})", f"({annotations_in('oldObject')})"
    names = ", ".join(f"'{name}'" for name in _CHANGES)
    return (
        f"oldObject == null || [{names}].exists(k, (k in {now}) != (k in {before})"
        f" || (k in {now} && {now}[k] != {before}[k]))"
    )


def _write(seconds: int, units: tuple[tuple[str, int], ...]) -> str:
    text = ""
    for unit, size in units:
        count, seconds = divmod(seconds, size)
        text += f"{count}{unit}" if count else ""
    return text
