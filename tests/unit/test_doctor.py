"""What `doctor` makes of a laptop and a cluster: what is well, what may fail, what does, and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any, cast

import anyio
import pytest

from gitops_run.adapters.cluster.connection import Connection
from gitops_run.adapters.cluster.diagnosis import read_denied, read_node_images, read_skew_s
from gitops_run.adapters.machine.facts import ask_version, free_mb
from gitops_run.errors import BackendError, GuardError, UsageError
from gitops_run.model.platform.diagnosis import (
    PROGRAMS,
    Finding,
    Level,
    Rights,
    exit_code,
    judge_clock,
    judge_disk,
    judge_image,
    judge_kubernetes,
    judge_lockdown,
    judge_platform,
    judge_program,
    judge_rights,
    judge_watches,
    no_image,
    problem,
    warning,
    well,
)
from gitops_run.model.platform.status import ComponentStatus, PlatformStatus
from gitops_run.model.rights.lockdown import KUSTOMIZE_CONTROLLER, Controller

PULUMI, KUBECTL, HELM, GIT = PROGRAMS
LOCKED = ("--no-remote-bases=true", "--no-cross-namespace-refs=true", "--default-service-account=default")


def flux(*, is_ready: bool = True, version: str = "v2.8.1") -> PlatformStatus:
    one = ComponentStatus(
        name="kustomize-controller",
        namespace="flux-system",
        image="i",
        ready=int(is_ready),
        wanted=1,
        is_ready=is_ready,
        lockdown={},
        events_to="",
    )
    return PlatformStatus(
        stack="",
        has_flux=True,
        flux_version=version,
        flux_stack="",
        flux=f"{version}, found",
        components=(one,),
        has_policy=True,
        roles={},
        sessions=(),
        unread=(),
    )


def judged(status: PlatformStatus, check: str) -> Finding:
    return next(one for one in judge_platform(status) if one.check == check)


def lockdown(*arguments: str, is_unlocked_allowed: bool = False) -> Finding:
    controller = Controller(name=KUSTOMIZE_CONTROLLER, arguments=arguments)
    return judge_lockdown([controller], is_unlocked_allowed=is_unlocked_allowed)


IMAGE = "example.com/server:v1"
NODES = (frozenset({IMAGE, "docker.io/library/nginx:1"}), frozenset[str]())
LEVELS: dict[str, tuple[Finding, Level]] = {
    "a program": (judge_program(PULUMI, "v3.259.0\n"), Level.OK),
    "a program of other words": (judge_program(GIT, "git version 2.39.5 (Apple Git-154)"), Level.OK),
    "a program that is not there": (judge_program(PULUMI, None), Level.PROBLEM),
    "a program that only charts need": (judge_program(HELM, None), Level.WARNING),
    "a program that is too old": (judge_program(HELM, "v3.19.0+gabc"), Level.WARNING),
    "a program that fails": (judge_program(KUBECTL, "Segmentation fault"), Level.WARNING),
    "a system without limits": (judge_watches({}), Level.OK),
    "few watches": (judge_watches({"max_user_watches": 100, "max_user_instances": 128}), Level.WARNING),
    "enough space": (judge_disk("/data", 5_000), Level.OK),
    "little space": (judge_disk("/data", 200), Level.WARNING),
    "no space": (judge_disk("/data", 3), Level.PROBLEM),
    "the same time": (judge_clock(0.4), Level.OK),
    "a clock that is ahead": (judge_clock(30), Level.WARNING),
    "a clock that is far behind": (judge_clock(-3_600), Level.PROBLEM),
    "no clock": (judge_clock(None), Level.WARNING),
    "a recent cluster": (judge_kubernetes("v1.36.1-eks-1"), Level.OK),
    "an old cluster": (judge_kubernetes("v1.29.3"), Level.WARNING),
    "Flux": (judged(flux(), "flux"), Level.OK),
    "an old Flux": (judged(flux(version="v2.6.0"), "flux"), Level.PROBLEM),
    "a Flux that does not run": (judged(flux(is_ready=False), "flux"), Level.PROBLEM),
    "a locked Flux": (lockdown(*LOCKED), Level.OK),
    "an unlocked Flux": (lockdown(*LOCKED[1:]), Level.PROBLEM),
    "an unlocked Flux that is accepted": (lockdown(is_unlocked_allowed=True), Level.WARNING),
    "a Flux that can not be checked": (judge_lockdown([], is_unlocked_allowed=False), Level.PROBLEM),
    "policies": (judged(flux(), "policies"), Level.OK),
    "an image that a node has": (judge_image(IMAGE, NODES), Level.OK),
    "an image that no node has": (judge_image("example.com/other:v1", NODES), Level.WARNING),
    "nodes that may not be read": (judge_image(IMAGE, None), Level.OK),
    "an image that nothing needs": (no_image("s3"), Level.OK),
}


@pytest.mark.parametrize(("found", "level"), LEVELS.values(), ids=LEVELS)
def test_what_is_found_is_judged_and_says_what_to_do_unless_all_is_well(found: Finding, level: Level) -> None:
    assert found.level is level
    assert bool(found.hint) == (level is not Level.OK)
    assert bool(found.exit_code) == (level is Level.PROBLEM)


def test_a_limit_that_is_too_low_is_raised_by_one_command() -> None:
    found = judge_watches({"max_user_watches": 100, "max_user_instances": 1})
    assert found.hint == "sudo sysctl fs.inotify.max_user_watches=8192 fs.inotify.max_user_instances=128"


def test_the_exit_code_is_that_of_the_first_problem() -> None:
    fine, doubt = well("laptop", "git", "2.0"), warning("laptop", "helm", "missing", "install it")
    refused, failed = (problem("cluster", "x", kind("m", hint="h")) for kind in (GuardError, BackendError))
    assert exit_code([fine, doubt]) == 0
    assert exit_code([fine, refused, failed]) == 3
    assert exit_code([failed, problem("laptop", "y", UsageError("m"))]) == 6


@dataclass
class Api:
    """answers: whether each right is given, by its resource. ahead_s: of the server's clock.

    nodes: their list; {} where it is hidden.
    """

    answers: Mapping[str, bool] = field(default_factory=dict)
    ahead_s: float = 0
    nodes: Mapping[str, Any] = field(default_factory=dict)

    async def create(self, path: str, body: Any) -> Any:
        del path
        return {"status": {"allowed": self.answers[body["spec"]["resourceAttributes"]["resource"]]}}

    async def find(self, path: str) -> Any:
        return self.nodes if path == "/api/v1/nodes" else {}

    async def date(self) -> str:
        return format_datetime(datetime.now(UTC) + timedelta(seconds=self.ahead_s), usegmt=True)


def test_rights_that_are_missing_are_named_by_what_they_are_for() -> None:
    wanted: Mapping[str, Rights] = {
        "make sessions": Rights((("create", "", "secrets"), ("create", "source.x", "buckets")), "ask"),
        "list sessions": Rights((("list", "", "namespaces"),), "ask"),
    }
    api = Api({"secrets": True, "buckets": False, "namespaces": True})
    denied = anyio.run(read_denied, cast("Connection", api), wanted)
    assert denied == {"make sessions": ["create buckets.source.x"], "list sessions": []}
    found = judge_rights(denied, "jane")
    assert [(one.check, one.level) for one in found] == [
        ("make sessions", Level.WARNING),
        ("list sessions", Level.OK),
    ]


@pytest.mark.parametrize(("image", "named"), [("nginx:1", "1 of 2 nodes"), (IMAGE, "1 of 2 nodes")])
def test_an_image_is_looked_for_by_its_whole_name(image: str, named: str) -> None:
    assert named in judge_image(image, NODES).message


def test_the_images_of_nodes_are_those_that_they_report() -> None:
    reported = {"items": [{"status": {"images": [{"names": [IMAGE]}, {"names": None}]}}, {}]}
    api = cast("Connection", Api(nodes=reported))
    assert anyio.run(read_node_images, api) == (frozenset({IMAGE}), frozenset())
    assert anyio.run(read_node_images, cast("Connection", Api())) is None


def test_the_difference_of_clocks_comes_from_the_answer_s_date() -> None:
    assert anyio.run(read_skew_s, cast("Connection", Api(ahead_s=-100))) == pytest.approx(100, abs=1)
    assert anyio.run(read_skew_s, cast("Connection", Api())) == pytest.approx(0, abs=1)


def test_a_program_is_looked_for_on_the_path_of_the_caller(tmp_path: Path) -> None:
    program = tmp_path / "git"
    program.write_text("#!/bin/sh\necho git version 9.8.7\n")
    program.chmod(0o755)
    assert ask_version("git", {"PATH": str(tmp_path)}) == "git version 9.8.7\n"
    assert ask_version("git", {"PATH": "/nowhere"}) is None


def test_space_is_measured_for_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    assert free_mb(tmp_path / "a" / "b") > 0
