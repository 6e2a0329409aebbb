"""What `doctor` finds on a laptop and in its cluster, and what to do about each of it.

Judges values that were read elsewhere. A problem keeps something from working and decides the exit code; a
warning names what may, or what a part of the commands needs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from gitops_run.errors import BackendError, GitOpsRunError, GuardError, UsageError
from gitops_run.model.platform.status import PlatformStatus
from gitops_run.model.rights.lockdown import Controller, lacking_bounds

SKEW_WARNING_S: Final = 5.0
SKEW_MAX_S: Final = 240.0
"""S3 refuses requests whose clock is off by more than 15 minutes, and identity providers by five."""
WATCHES_MIN: Final = 8_192
INSTANCES_MIN: Final = 128
"""Linux's own defaults: a system with less has been limited."""
FREE_WARNING_MB: Final = 1_024
FREE_MIN_MB: Final = 50
KUBERNETES_MIN: Final = (1, 30)
FLUX_MIN: Final = (2, 7)


class Level(StrEnum):
    """Say how much a finding matters."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Hold what one check found. area: laptop, cluster or store. hint: what to do, "" where all is well.

    exit_code: of the error that it would be.
    """

    area: str
    check: str
    level: Level
    message: str
    hint: str = ""
    exit_code: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """Describe a program that commands start. needed_for: "" where all of them do."""

    name: str
    minimum: tuple[int, ...]
    needed_for: str
    hint: str


_SANDBOX: Final = 'or use a sandbox\'s: eval "$(gitops-run sandbox env)"'
PROGRAMS: Final = (
    Program(
        name="pulumi",
        minimum=(3, 200),
        needed_for="",
        hint=f"install it: https://www.pulumi.com/docs/install; {_SANDBOX}",
    ),
    Program(
        name="kubectl",
        minimum=(1, 30),
        needed_for="",
        hint="install it: https://kubernetes.io/docs/tasks/tools",
    ),
    Program(
        name="helm",
        minimum=(4,),
        needed_for="charts",
        hint=f"install it: https://helm.sh/docs/intro/install; {_SANDBOX}",
    ),
    Program(
        name="git",
        minimum=(2,),
        needed_for="finding a work tree's root, and its branch",
        hint="install it: https://git-scm.com/downloads",
    ),
)


def well(area: str, check: str, message: str) -> Finding:
    """Note that a check found nothing to do."""
    return Finding(area=area, check=check, level=Level.OK, message=message)


def warning(area: str, check: str, message: str, hint: str) -> Finding:
    """Note what may keep something from working."""
    return Finding(area=area, check=check, level=Level.WARNING, message=message, hint=hint)


def problem(area: str, check: str, error: GitOpsRunError) -> Finding:
    """Note what keeps something from working, as the error that it would be."""
    return Finding(
        area=area,
        check=check,
        level=Level.PROBLEM,
        message=error.message,
        hint=error.hint,
        exit_code=error.exit_code,
    )


def exit_code(findings: Sequence[Finding]) -> int:
    """Choose the exit code: of the first problem, 0 where there is none."""
    return next((one.exit_code for one in findings if one.level is Level.PROBLEM), 0)


def judge_program(program: Program, answer: str | None) -> Finding:
    """Judge a program by what it says of its version. answer: None where it isn't there."""
    if answer is None:
        message = f"{program.name} is not on PATH"
        if program.needed_for:
            return warning(
                "laptop", program.name, f"{message}: needed for {program.needed_for}", program.hint
            )
        return problem("laptop", program.name, BackendError(message, hint=program.hint))
    found = re.search(r"v?(\d+(?:\.\d+)+)", answer)
    if found is None:
        message = f"{program.name} doesn't say its version: {answer.strip()[:80]}"
        return warning("laptop", program.name, message, program.hint)
    version = tuple(int(part) for part in found[1].split("."))
    if version < program.minimum:
        least = ".".join(map(str, program.minimum))
        message = f"{program.name} is {found[1]}, and {least} or later is needed"
        return warning("laptop", program.name, message, program.hint)
    return well("laptop", program.name, found[1])


def judge_watches(limits: Mapping[str, int]) -> Finding:
    """Judge how many folders the system lets a user watch. limits: of fs.inotify; empty on other systems."""
    wanted = {"max_user_watches": WATCHES_MIN, "max_user_instances": INSTANCES_MIN}
    low = {name: least for name, least in wanted.items() if limits.get(name, least) < least}
    if low:
        said = ", ".join(f"fs.inotify.{name} is {limits[name]}" for name in low)
        sets = " ".join(f"fs.inotify.{name}={least}" for name, least in low.items())
        message = f"{said}: a sync that can't watch a folder looks at it every second"
        return warning("laptop", "inotify", message, f"sudo sysctl {sets}")
    said = ", ".join(f"{name} {value}" for name, value in limits.items())
    return well("laptop", "inotify", said or "this system has no such limits")


def judge_disk(folder: str, free_mb: int) -> Finding:
    """Judge the space that is left for state, history and snapshots."""
    message = f"{free_mb:,} MB are free for {folder}"
    if free_mb < FREE_MIN_MB:
        return problem("laptop", "disk", BackendError(message, hint="make room there"))
    if free_mb < FREE_WARNING_MB:
        return warning("laptop", "disk", message, "make room there before it is full")
    return well("laptop", "disk", message)


def judge_clock(skew_s: float | None) -> Finding:
    """Judge how far this machine's clock is off the API server's; positive where this one is ahead."""
    if skew_s is None:
        return warning("cluster", "clock", "the API server does not say its time", "compare clocks by hand")
    off = abs(skew_s)
    side = "ahead of" if skew_s > 0 else "behind"
    message = f"this machine's clock is {off:.0f} s {side} the API server's"
    hint = "synchronise it: timedatectl set-ntp true"
    if off > SKEW_MAX_S:
        return problem("cluster", "clock", BackendError(message, hint=hint))
    if off > SKEW_WARNING_S:
        return warning("cluster", "clock", message, hint)
    return well("cluster", "clock", f"within {max(off, 1):.0f} s of the API server's")


def judge_kubernetes(version: str) -> Finding:
    """Judge the cluster's version, "v1.36.1"."""
    if _numbers(version) < KUBERNETES_MIN:
        message = f"Kubernetes is {version}; the platform's admission policies need 1.30 or later"
        return warning("cluster", "kubernetes", message, "upgrade the cluster")
    return well("cluster", "kubernetes", version)


def judge_platform(status: PlatformStatus) -> tuple[Finding, ...]:
    """Judge Flux and the platform's policies."""
    if not status.has_flux:
        error = UsageError("the cluster has no Flux", hint="install it: gitops-run platform up")
        return (problem("cluster", "flux", error),)
    return (_flux(status), _policies(status))


def _flux(status: PlatformStatus) -> Finding:
    idle = [one.name for one in status.components if not one.is_ready]
    if status.flux_version and _numbers(status.flux_version) < FLUX_MIN:
        message = f"Flux is {status.flux_version}, and 2.7 or later is needed"
        return problem("cluster", "flux", UsageError(message, hint="upgrade it as it was installed"))
    if idle:
        message = f"not ready: {', '.join(idle)}"
        hint = "see why: kubectl get pods -n flux-system"
        return problem("cluster", "flux", BackendError(message, hint=hint))
    return well("cluster", "flux", status.flux)


def _policies(status: PlatformStatus) -> Finding:
    if status.has_policy:
        return well("cluster", "policies", "the platform's admission policies are in force")
    if any(one.startswith("ValidatingAdmission") for one in status.unread):
        return well("cluster", "policies", "may not be read")
    return warning(
        "cluster",
        "policies",
        "the platform's admission policies are not in force: an owner may change all of their session",
        "install them: gitops-run platform up",
    )


def judge_lockdown(controllers: Sequence[Controller], *, is_unlocked_allowed: bool) -> Finding:
    """Judge the flags of the controllers that apply, as `up` does. controllers: as in ClusterFacts."""
    lacking = {one.name: flags for one in controllers if (flags := lacking_bounds(one))}
    if controllers and not lacking:
        return well(
            "cluster", "lockdown", f"every flag of {', '.join(one.name for one in controllers)} is set"
        )
    said = "; ".join(f"{name} lacks {', '.join(flags)}" for name, flags in lacking.items())
    said = said or "no Deployment of its controllers was found, or may be read"
    hint = "set the flags where Flux was installed, or accept it: --allow-unlocked-flux"
    if is_unlocked_allowed:
        return warning("cluster", "lockdown", f"{said}; accepted by allowUnlockedFlux", hint)
    return problem("cluster", "lockdown", GuardError(said, hint=hint))


def no_image(store: str) -> Finding:
    """Note that sessions start no server, whose image would be needed."""
    return well("cluster", "image", f"none is needed: the store of new sessions is {store}")


def judge_image(image: str, nodes: Sequence[frozenset[str]] | None) -> Finding:
    """Judge the image of the sessions' S3 server. nodes: the images of each; None if they may not be read."""
    if nodes is None:
        return well("cluster", "image", f"{image}: you may not read which nodes have it")
    having = sum(_whole_name(image) in images for images in nodes)
    if having:
        return well("cluster", "image", f"{image} is on {having} of {len(nodes)} nodes")
    return warning(
        "cluster",
        "image",
        f"{image} is on none of {len(nodes)} nodes, which pull it when a session first starts there",
        "in a network without its registry, set storeImage to an image that the nodes can pull",
    )


def _whole_name(image: str) -> str:
    """Write an image as nodes do: with its registry. Source: distribution/reference, ParseNormalizedNamed."""
    first, slash, _ = image.partition("/")
    if not slash:
        return f"docker.io/library/{image}"
    has_registry = first == "localhost" or bool(set(first) & set(".:"))
    return image if has_registry else f"docker.io/{image}"


def judge_rights(denied: Mapping[str, Sequence[str]], user: str) -> tuple[Finding, ...]:
    """Judge what this user may not do. denied: by what it is for, the rights that are missing."""
    found = []
    for purpose, rights in denied.items():
        if not rights:
            found.append(well("cluster", purpose, f"{user} may"))
            continue
        message = f"{user} may not: {', '.join(rights)}"
        found.append(warning("cluster", purpose, message, _RIGHTS[purpose].hint))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Rights:
    """Say which rights something takes, as (verb, group, resource), and who gives them."""

    needed: tuple[tuple[str, str, str], ...]
    hint: str


_FLUX: Final = "toolkit.fluxcd.io"
_RIGHTS: Final[Mapping[str, Rights]] = {
    "make sessions": Rights(
        (
            ("create", "", "namespaces"),
            ("create", "", "secrets"),
            ("create", "", "resourcequotas"),
            ("create", "rbac.authorization.k8s.io", "rolebindings"),
            ("create", f"source.{_FLUX}", "buckets"),
            ("create", f"kustomize.{_FLUX}", "kustomizations"),
        ),
        "an owner needs none of it; to make sessions, ask for ClusterRole gitops-run-session-maker",
    ),
    "list sessions": Rights(
        (("list", f"source.{_FLUX}", "buckets"), ("list", "", "namespaces")),
        "list names the sessions of this machine; for all of them, ask for ClusterRole gitops-run-viewer",
    ),
}


def rights() -> Mapping[str, Rights]:
    """List what is asked for, by what it is for."""
    return _RIGHTS


def _numbers(version: str) -> tuple[int, ...]:
    """Read a version's first two numbers; one that has none is taken for a new one."""
    found = re.search(r"(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2])) if found else (99, 0)
