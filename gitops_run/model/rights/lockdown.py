"""How Flux's controllers are kept from reaching beyond a session.

Knows the flags that make a Flux safe for many tenants, and how a controller's arguments set them. Sources:
source-controller 1.9, kustomize-controller 1.9 and helm-controller 1.6, their main.go. Left out on purpose:
--default-decryption-service-account and --default-kubeconfig-service-account, and source-controller's
--default-service-account: they are for workload identity, and end the controller where it isn't switched on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

SOURCE_CONTROLLER: Final = "source-controller"
KUSTOMIZE_CONTROLLER: Final = "kustomize-controller"
HELM_CONTROLLER: Final = "helm-controller"
COMPONENTS: Final = (SOURCE_CONTROLLER, KUSTOMIZE_CONTROLLER, HELM_CONTROLLER)
"""What a session needs of Flux; its other controllers aren't used."""

ARGUMENTS_ANNOTATION: Final = "gitops-run.dev/flux-arguments"
"""On Flux's namespace: a JSON object of each controller's arguments, where no Deployment has them."""

EVENTS: Final = "events-addr"
GATES: Final = "feature-gates"
_TENANCY: Final = {"no-cross-namespace-refs": "true", "default-service-account": "default"}
_FLAGS: Final[Mapping[str, Mapping[str, str]]] = {
    SOURCE_CONTROLLER: {},
    KUSTOMIZE_CONTROLLER: {**_TENANCY, "no-remote-bases": "true"},
    HELM_CONTROLLER: _TENANCY,
}
_GATES: Final[Mapping[str, Mapping[str, str]]] = {
    SOURCE_CONTROLLER: {},
    KUSTOMIZE_CONTROLLER: {"CancelHealthCheckOnNewRevision": "true"},
    HELM_CONTROLLER: {"CancelHealthCheckOnNewRevision": "true"},
}
"""A newer save ends the wait for the health of an older one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Controller:
    """Name one of Flux's controllers, and the arguments that it runs with."""

    name: str
    arguments: tuple[str, ...]


def lacking_bounds(controller: Controller) -> tuple[str, ...]:
    """List the flags that a controller lacks of those that bound a session's owner."""
    flags = parse_flags(controller.arguments)
    wanted = _FLAGS.get(controller.name, {})
    return tuple(f"--{name}" for name, value in wanted.items() if not _holds(flags, name, value))


def write_declared(controllers: Mapping[str, Sequence[str]]) -> str:
    """Write the annotation by which a Flux outside of Deployments declares its arguments."""
    return json.dumps({name: list(arguments) for name, arguments in controllers.items()})


def parse_declared(text: str) -> tuple[Controller, ...]:
    """Read that annotation; what isn't of its form declares nothing."""
    try:
        declared = json.loads(text or "{}")
    except ValueError:
        return ()
    if not isinstance(declared, dict):
        return ()
    return tuple(
        Controller(name=name, arguments=tuple(map(str, arguments)))
        for name, arguments in declared.items()
        if isinstance(arguments, list)
    )


def parse_flags(arguments: Sequence[str]) -> dict[str, str]:
    """Read a program's flags by name: --a=b, --a b, and --a alone, which means true. The last one counts."""
    found: dict[str, str] = {}
    waiting = ""
    for argument in arguments:
        if argument.startswith("-"):
            name, has_value, value = argument.lstrip("-").partition("=")
            found[name] = value if has_value else "true"
            waiting = "" if has_value else name
        elif waiting:
            found[waiting] = argument
            waiting = ""
    return found


def locked_down(component: str, arguments: Sequence[str], receiver: str) -> list[str]:
    """Write a controller's arguments with the lockdown among them.

    receiver: who gets events, "" for nobody: an address that nobody serves costs seconds in each reconcile.
    """
    wanted = {**_FLAGS[component], **({EVENTS: receiver} if receiver else {})}
    said = parse_flags(arguments)
    if gates := _parse_gates(said.get(GATES, "")) | dict(_GATES[component]):
        wanted[GATES] = ",".join(f"{name}={value}" for name, value in gates.items())
    kept = [argument for argument in arguments if _name(argument) not in {*wanted, EVENTS}]
    return [*kept, *(f"--{name}={value}" for name, value in wanted.items())]


def lockdown_of(component: str, arguments: Sequence[str]) -> dict[str, bool]:
    """Report for each flag and feature gate of the lockdown whether a controller has it."""
    flags = parse_flags(arguments)
    gates = _parse_gates(flags.get(GATES, ""))
    found = {f"--{name}": _holds(flags, name, value) for name, value in _FLAGS[component].items()}
    return found | {name: gates.get(name) == value for name, value in _GATES[component].items()}


def events_go_to(arguments: Sequence[str]) -> str:
    """Return where a controller sends events; "" for nowhere."""
    return parse_flags(arguments).get(EVENTS, "")


def _name(argument: str) -> str:
    return argument.lstrip("-").partition("=")[0]


def _holds(flags: Mapping[str, str], name: str, wanted: str) -> bool:
    """A switch must be on; an account may have any name."""
    return flags.get(name) == "true" if wanted == "true" else bool(flags.get(name))


def _parse_gates(text: str) -> dict[str, str]:
    pairs = (pair.partition("=") for pair in text.split(",") if pair)
    return {name: value for name, _, value in pairs}
