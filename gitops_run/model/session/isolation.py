"""How a session is kept apart from others: its isolation, its quota, and who may connect to its pods.

Knows the amounts as people write them (cpu=4, memory=8Gi), what a platform allows, and the admission policy
by which it does. Writes no session's object: model/manifests/bounds.py does. Sources: Kubernetes'
ResourceQuota and resource.Quantity, CEL's quantity library (1.29 and later).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from gitops_run.errors import GuardError, UsageError
from gitops_run.model.names import QUOTA
from gitops_run.model.rights.policy import of_sessions, requests_to

NAMESPACE: Final = "namespace"
CLUSTER: Final = "cluster"
ISOLATIONS: Final = (NAMESPACE, CLUSTER)
"""From the stricter one: applied within the session's own namespace, or in the whole cluster."""

UNLIMITED: Final = "unlimited"
RESOURCES: Final[Mapping[str, str]] = {
    "cpu": "requests.cpu",
    "memory": "requests.memory",
    "pods": "pods",
    "storage": "requests.storage",
}
"""What a quota limits, by the resource that Kubernetes counts for it."""
AMOUNT: Final = (
    r"cpu=([1-9][0-9]{0,5}m?|(?=.*[1-9])[0-9]{1,5}\.[0-9]{1,3})"
    r"|(memory|storage)=[1-9][0-9]{0,8}([kMGT]|[KMGT]i)?|storage=0"
    r"|pods=[1-9][0-9]{0,4}"
    rf"|(cpu|memory|pods|storage)={UNLIMITED}"
)
AMOUNT_EXAMPLE: Final = "cpu=4, memory=8Gi, pods=20, storage=10Gi or cpu=unlimited"
ISOLATION_POLICY: Final = "gitops-run-session-quota"
_SCALES: Final[Mapping[str, Decimal]] = {
    "m": Decimal("0.001"),
    **{suffix: Decimal(1000) ** power for power, suffix in enumerate("kMGTPE", 1)},
    **{f"{suffix}i": Decimal(1024) ** power for power, suffix in enumerate("KMGTPE", 1)},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """Hold how much a session's objects may take together, by resource; what is left out has no limit."""

    amounts: Mapping[str, str] = field(default_factory=dict)

    @property
    def hard(self) -> dict[str, str]:
        """Write it as a ResourceQuota does."""
        return {RESOURCES[resource]: amount for resource, amount in self.amounts.items()}

    def __str__(self) -> str:
        """Write it as people do: cpu=4,memory=8Gi."""
        return ",".join(f"{resource}={amount}" for resource, amount in self.amounts.items())


NO_QUOTA: Final = Quota()
DEFAULT_QUOTA: Final = Quota(amounts={"cpu": "8", "memory": "16Gi", "pods": "50", "storage": "50Gi"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Hold what bounds a session's namespace. ingress_from: namespaces whose pods may connect to its pods."""

    quota: Quota = DEFAULT_QUOTA
    ingress_from: tuple[str, ...] = ()


DEFAULT_BOUNDS: Final = Bounds()


@dataclass(frozen=True, slots=True, kw_only=True)
class IsolationRules:
    """Hold what a platform sets. allowed: the least strict isolation, "" where it doesn't say.

    quota: of sessions that set none. max_quota: what a session may set at most. Both may name some resources
    only. teams: what all sessions of a team may have together.
    """

    allowed: str = ""
    quota: Quota = NO_QUOTA
    max_quota: Quota = NO_QUOTA
    teams: Mapping[str, Quota] = field(default_factory=dict)
    ingress_from: tuple[str, ...] = ()

    @property
    def limits_quotas(self) -> bool:
        """Report whether the platform says anything about quotas."""
        return bool(self.quota.amounts or self.max_quota.amounts or self.teams)


NO_RULES: Final = IsolationRules()

_ALLOWED: Final = "gitops-run.dev/session-isolation"
_QUOTA: Final = "gitops-run.dev/session-quota"
_MAX_QUOTA: Final = "gitops-run.dev/session-max-quota"
_TEAM_QUOTA: Final = "gitops-run.dev/team-quota"
_INGRESS_FROM: Final = "gitops-run.dev/session-ingress-from"


def parse_amounts(texts: Sequence[str]) -> dict[str, str]:
    """Read RESOURCE=AMOUNT, each of which matches AMOUNT."""
    return dict(text.split("=", 1) for text in texts)


def parse_quota(texts: Sequence[str]) -> Quota:
    """Read RESOURCE=AMOUNT; unlimited is left out."""
    return _limited(parse_amounts(texts))


def choose_quota(said: Sequence[str], rules: IsolationRules) -> Quota:
    """Choose a session's quota, resource by resource: what its settings say, else the platform's default.

    Without either, the built-in default, or the platform's maximum where that is less.
    """
    amounts = parse_amounts(said)
    return _limited({name: amounts.get(name) or _default(name, rules) for name in RESOURCES})


def _default(resource: str, rules: IsolationRules) -> str:
    if given := rules.quota.amounts.get(resource):
        return given
    usual, most = DEFAULT_QUOTA.amounts[resource], rules.max_quota.amounts.get(resource)
    return most if most and quantity(most) < quantity(usual) else usual


def _limited(amounts: Mapping[str, str]) -> Quota:
    return Quota(
        amounts={name: amounts[name] for name in RESOURCES if amounts.get(name, UNLIMITED) != UNLIMITED}
    )


def quantity(text: str) -> Decimal:
    """Read an amount that matches AMOUNT, other than unlimited, or as Kubernetes writes it then."""
    number, suffix = re.fullmatch(r"([0-9.]+)([A-Za-z]*)", text).groups()  # type: ignore[union-attr]
    return Decimal(number) * _SCALES.get(suffix, Decimal(1))


def refuse_isolation(wanted: str, rules: IsolationRules) -> None:
    """Refuse an isolation that the platform doesn't allow. Raises GuardError that names its setting."""
    if wanted == NAMESPACE or rules.allowed == CLUSTER:
        return
    raise GuardError(
        f"isolation {wanted} is not allowed on this platform: its setting sessionIsolation "
        f"{'allows ' + rules.allowed + ' only' if rules.allowed else 'is missing, or may not be read'}",
        hint=f"to allow it for every session: gitops-run platform up --session-isolation {wanted}",
    )


def refuse_quota(quota: Quota, most: Quota) -> None:
    """Refuse a quota beyond the platform's maximum. Raises GuardError that names the rule."""
    if beyond := _beyond(quota, most):
        wanted, allowed = quota.amounts.get(beyond, UNLIMITED), most.amounts[beyond]
        raise GuardError(
            f"quota {beyond}={wanted} is not allowed on this platform: its rule sessionMaxQuota allows "
            f"{beyond}={allowed}",
            hint=f"choose at most {beyond}={allowed}, or leave {beyond} out",
        )


def refuse_default_quota(quota: Quota, most: Quota) -> None:
    """Refuse a platform whose default its own maximum doesn't allow. Raises UsageError."""
    named = {name: quota.amounts[name] for name in quota.amounts if name in most.amounts}
    if beyond := _beyond(Quota(amounts=named), Quota(amounts={name: most.amounts[name] for name in named})):
        allowed = most.amounts[beyond]
        raise UsageError(
            f"sessionQuota has {beyond}={named[beyond]}, and sessionMaxQuota allows {beyond}={allowed}",
            hint=f"choose at most {beyond}={allowed}",
        )


def _beyond(quota: Quota, most: Quota) -> str:
    """Name the first resource of which a quota has more than that; "" where there is none."""
    for resource, allowed in most.amounts.items():
        wanted = quota.amounts.get(resource)
        if wanted is None or quantity(wanted) > quantity(allowed):
            return resource
    return ""


def rule_annotations(rules: IsolationRules) -> dict[str, str]:
    """Write a platform's rules as annotations of its policy."""
    said = {
        _ALLOWED: rules.allowed,
        _QUOTA: str(rules.quota),
        _MAX_QUOTA: str(rules.max_quota),
        _TEAM_QUOTA: ",".join(
            f"{team}/{resource}={amount}"
            for team, quota in rules.teams.items()
            for resource, amount in quota.amounts.items()
        ),
        _INGRESS_FROM: ",".join(rules.ingress_from),
    }
    return {annotation: value for annotation, value in said.items() if value}


def read_rules(annotations: Mapping[str, str]) -> IsolationRules:
    """Read a platform's rules from its policy; what can't be read sets nothing."""
    allowed = annotations.get(_ALLOWED, "")
    return IsolationRules(
        allowed=allowed if allowed in ISOLATIONS else "",
        quota=_read_quota(annotations.get(_QUOTA, "")),
        max_quota=_read_quota(annotations.get(_MAX_QUOTA, "")),
        teams=_read_teams(annotations.get(_TEAM_QUOTA, "")),
        ingress_from=tuple(name for name in annotations.get(_INGRESS_FROM, "").split(",") if name),
    )


def _read_quota(text: str) -> Quota:
    pairs = [one for one in text.split(",") if re.fullmatch(AMOUNT, one)]
    return _limited(dict(one.split("=", 1) for one in pairs))


def _read_teams(text: str) -> dict[str, Quota]:
    teams: dict[str, list[str]] = {}
    for one in text.split(","):
        team, _, amount = one.partition("/")
        teams.setdefault(team, []).append(amount)
    found = {team: _read_quota(",".join(amounts)) for team, amounts in teams.items()}
    return {team: quota for team, quota in found.items() if quota.amounts}


def quota_policy(rules: IsolationRules) -> dict[str, Any]:
    """Write the spec of the policy that refuses a session's ResourceQuota beyond the platform's maximum.

    It binds everybody. A quota that was made before a rule is refused only when it is changed.
    """
    validations = [{"expression": "has(object.spec.hard)", "message": "a session's quota limits something"}]
    validations += [
        {
            "expression": f"'{RESOURCES[resource]}' in object.spec.hard && quantity(string("
            f"object.spec.hard['{RESOURCES[resource]}'])).compareTo(quantity('{amount}')) <= 0",
            "message": f"the platform's rule sessionMaxQuota allows {resource}={amount}",
        }
        for resource, amount in rules.max_quota.amounts.items()
    ]
    return {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "resourceRules": [requests_to("", "resourcequotas", "CREATE", "UPDATE")],
            "namespaceSelector": of_sessions(),
        },
        "matchConditions": [
            {
                "name": "is-the-session-s",
                "expression": f"object.metadata.name == '{QUOTA}'"
                " && (oldObject == null || object.spec != oldObject.spec)",
            }
        ],
        "validations": validations,
    }
