"""The commands and hints of the page lead to the session and the cluster that it shows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gitops_run.api.places import place_of
from gitops_run.api.viewing import ViewRequest
from gitops_run.errors import BackendError, UsageError
from gitops_run.model.state.close_up import CloseUp
from gitops_run.model.state.record import Record
from gitops_run.model.state.saves import Outcome, SaveRecord
from gitops_run.model.text.problem import Problem
from tests.virtual_time import scenario
from tests.web_fakes import FakeViewing, browsing, session

REMOTE = ("--context", "prod", "--allow-contexts", "prod", "--kubeconfig", "/k")


def viewing_of(context: str = "prod", kubeconfig: str = "/k", *, here: Path | None = None) -> FakeViewing:
    viewing = FakeViewing([session()])
    viewing.request = ViewRequest(kubeconfig=kubeconfig, context=context)
    if here:
        viewing.caller = replace(viewing.caller, here=here)
    return viewing


@pytest.mark.parametrize(
    ("context", "kubeconfig", "namespace", "flags"),
    [
        ("kind-dev", "/nowhere/.kube/config", "run-web", ("--context", "kind-dev")),
        ("prod", "/k", "run-web", REMOTE),
        ("prod", "/k", "team-a", (*REMOTE, "--namespace", "team-a")),
    ],
)
def test_a_command_gets_the_flags_that_lead_to_its_session(
    context: str, kubeconfig: str, namespace: str, flags: tuple[str, ...]
) -> None:
    place = place_of(viewing_of(context, kubeconfig), namespace, "web")  # type: ignore[arg-type]
    assert (place.name, place.given) == ("web", flags)
    assert place.cluster == tuple(word for word in flags if word not in {"--namespace", "team-a"})


def test_a_stack_of_this_machine_does_not_lead_a_command_to_another_namespace(tmp_path: Path) -> None:
    (tmp_path / "stacks").mkdir()
    (tmp_path / "stacks" / "Pulumi.web.yaml").touch()
    place = place_of(viewing_of(here=tmp_path), "run-web", "web")  # type: ignore[arg-type]
    assert place.given == (*REMOTE, "--namespace", "run-web")


def test_a_page_outlives_the_directory_that_it_was_started_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started_in = tmp_path / "gone"
    started_in.mkdir()
    monkeypatch.chdir(started_in)
    started_in.rmdir()
    assert place_of(viewing_of()).cluster == REMOTE  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["x" * 5000, "..", "A", "a\0"])
def test_a_name_that_no_session_can_have_is_no_fault(name: str) -> None:
    assert place_of(viewing_of(), "run-web", name).name == name  # type: ignore[arg-type]


@scenario
async def test_every_hint_of_the_page_can_be_typed() -> None:
    problem = Problem(message="refused", hint="to end it: gitops-run down NAME")
    save = SaveRecord(run=1, number=1, at="", outcome=Outcome.BROKEN, problems=(problem,), problem_count=1)
    viewing = viewing_of()
    viewing.close_ups["run-web"] = CloseUp(record=Record(saves=(save,)))
    viewing.show(session(targets=()))
    async with browsing(viewing) as browser:
        await browser.site.live.listed.wait()
        pages = [await browser.get(f"/s/run-web/web?tab={tab}") for tab in ("saves", "why")]
        refused = await browser.post("/s/run-web/web/suspend", reason="demo")
        end = await browser.get("/s/run-web/web/end")
    remote = "--context prod --allow-contexts prod --kubeconfig /k"
    assert all(f"gitops-run down web {remote}" in page.text for page in pages)
    assert f"gitops-run request web end --reason TEXT {remote}" in end.text
    assert all("NAME" not in page.text for page in (*pages, refused, end))


@scenario
async def test_the_hint_of_an_error_can_be_typed_on_a_page_and_in_a_document() -> None:
    viewing = viewing_of()
    viewing.trouble = BackendError("there is no Flux", hint="to prepare it: gitops-run platform up")
    async with browsing(viewing) as browser:
        page = await browser.get("/")
        document = await browser.get("/api/sessions")
    command = "gitops-run platform up --context prod --allow-contexts prod --kubeconfig /k"
    assert command in page.text
    assert command in document.json()["hint"]


@scenario
async def test_the_hint_of_logs_that_are_refused_can_be_typed() -> None:
    viewing = viewing_of()
    viewing.log_trouble = UsageError("there are none", hint="to see why: gitops-run status NAME")
    async with browsing(viewing) as browser:
        await browser.site.live.listed.wait()
        answer = await browser.get("/s/run-web/web/logs/stream")
    assert "gitops-run status web --context prod" in answer.text
