"""Which stack on this machine is the one of a session: by cluster, namespace and name."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import anyio
import pytest

from gitops_run.adapters.pulumi.stacks import Stacks
from gitops_run.api import acting, sessions
from gitops_run.api.caller import Caller
from gitops_run.api.end_here import end
from gitops_run.api.viewing import Viewing
from gitops_run.errors import GitOpsRunError
from gitops_run.model.session.receipt import Receipt
from gitops_run.model.session.request import SessionRequest
from gitops_run.model.state.session_state import SessionState
from tests.web_fakes import FakeViewing, session

KUBECONFIG = """
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
contexts: [{name: default, context: {cluster: c, user: u}}, {name: other, context: {cluster: c, user: u}}]
users: [{name: u, user: {}}]
"""


@dataclass
class Machine:
    """A machine with a stack file, and a page that shows a cluster."""

    folder: Path

    @property
    def kubeconfig(self) -> str:
        return str(self.folder / "kubeconfig")

    def stack(self, name: str = "web", text: str | None = None, **said: str) -> None:
        values = {"context": "default", "kubeconfig": self.kubeconfig, "cluster": "uid", **said}
        lines = [f"  gitops-run:{key}: {value}" for key, value in values.items() if value]
        file = self.folder / f"data/gitops-run/project/stacks/Pulumi.{name}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("\n".join(["config:", *lines]) if text is None else text)

    def viewing(self, *states: SessionState, cluster: str = "uid", context: str = "default") -> FakeViewing:
        viewing = FakeViewing(states)
        viewing.connection.cluster = viewing.cluster = cluster
        viewing.request = replace(viewing.request, kubeconfig=self.kubeconfig, context=context)
        viewing.caller = replace(viewing.caller, environment=self.environment(), here=self.folder)
        viewing.caller = replace(viewing.caller, unfinished=lambda _: nullcontext())
        return viewing

    def environment(self) -> dict[str, str]:
        return {"HOME": str(self.folder), "XDG_DATA_HOME": str(self.folder / "data")}


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    (tmp_path / "kubeconfig").write_text(KUBECONFIG)
    return Machine(tmp_path)


def is_here(viewing: FakeViewing, state: SessionState) -> bool:
    return acting.has_stack(state, cast(Viewing, viewing))


def on_default(machine: Machine, state: SessionState, cluster: str = "uid") -> FakeViewing:
    return machine.viewing(state, cluster=cluster)


def test_the_stack_of_the_session_that_a_page_shows_is_here(machine: Machine) -> None:
    machine.stack()
    machine.stack("api", namespace="team-a")
    web, api = session(), session("api", "team-a")
    assert is_here(on_default(machine, web), web)
    assert is_here(on_default(machine, api), api)


def test_a_session_of_another_cluster_whose_context_has_the_same_name_has_no_stack_here(
    machine: Machine,
) -> None:
    machine.stack()
    assert not is_here(on_default(machine, session(), cluster="another"), session())


@pytest.mark.parametrize("cluster", ["uid", ""])
def test_a_stack_that_names_no_cluster_is_of_no_session_that_a_page_shows(
    machine: Machine, cluster: str
) -> None:
    machine.stack(cluster="")
    assert not is_here(on_default(machine, session(), cluster=cluster), session())


@pytest.mark.parametrize(("made", "shown"), [("", "team-a"), ("team-a", "run-web")])
def test_a_session_of_the_same_name_in_another_namespace_has_no_stack_here(
    machine: Machine, made: str, shown: str
) -> None:
    machine.stack(namespace=made)
    state = session("web", shown)
    assert not is_here(on_default(machine, state), state)


@pytest.mark.parametrize("text", ["{", "config: []", "config: {'gitops-run:secretKey': in-the-clear}", "\0"])
def test_a_stack_file_that_cannot_be_read_is_no_stack(machine: Machine, text: str) -> None:
    machine.stack(text=text)
    assert not is_here(on_default(machine, session()), session())


def test_a_stack_file_that_is_no_file_or_has_no_session_s_name_is_no_stack(machine: Machine) -> None:
    (machine.folder / "data/gitops-run/project/stacks/Pulumi.web.yaml").mkdir(parents=True)
    for state in (session(), session("../web", "run-web"), session("UPPER", "run-web")):
        assert not is_here(on_default(machine, state), state)


def test_looking_for_a_stack_creates_nothing(machine: Machine) -> None:
    assert not is_here(on_default(machine, session()), session())
    assert [path.name for path in machine.folder.iterdir()] == ["kubeconfig"]


def test_a_stack_in_a_folder_that_is_not_the_project_that_down_uses_is_not_here(machine: Machine) -> None:
    machine.stack()
    here = machine.folder / "stacks"
    here.mkdir()
    (machine.folder / "data/gitops-run/project/stacks/Pulumi.web.yaml").rename(here / "Pulumi.web.yaml")
    assert not is_here(on_default(machine, session()), session())


def ended(viewing: FakeViewing, state: SessionState, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """End a session as the page does, and list what `down` was asked to end, or the refusal."""
    did: list[str] = []

    async def down(request: SessionRequest, _: Caller) -> Receipt:
        did.append(f"{request.key.context} {request.key.namespace}/{request.key.name}")
        return Receipt(lines=())

    monkeypatch.setattr(sessions, "down", down)
    monkeypatch.setattr(sessions, "find_home", lambda *_: Home(viewing.caller.here))
    try:
        anyio.run(end, cast(Viewing, viewing), state, "demo is over")
    except GitOpsRunError as error:
        did.append(error.message)
    return did


@dataclass
class Home:
    """Stands for the project's home, whose making would write a project."""

    folder: Path

    def stack_file(self, stack: str) -> Path:
        return self.folder / f"data/gitops-run/project/stacks/Pulumi.{stack}.yaml"


def test_the_page_ends_the_session_that_it_shows(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.stack()
    assert ended(on_default(machine, session()), session(), monkeypatch) == ["default run-web/web"]


@pytest.mark.parametrize(
    ("stack", "cluster", "namespace"),
    [
        ({}, "another", "run-web"),
        ({}, "uid", "team-a"),
        ({"namespace": "team-a"}, "uid", "run-web"),
        ({"cluster": ""}, "uid", "run-web"),
        ({"context": "other"}, "uid", "run-web"),
    ],
)
def test_the_page_ends_no_session_but_the_one_that_it_shows(
    machine: Machine, stack: dict[str, str], cluster: str, namespace: str
) -> None:
    machine.stack(**stack)
    state = session("web", namespace)
    viewing = on_default(machine, state, cluster=cluster)
    with pytest.MonkeyPatch.context() as monkeypatch:
        (refusal,) = ended(viewing, state, monkeypatch)
    assert refusal.startswith("the stack web on this machine")
    assert viewing.connection.created == []


def test_gc_knows_its_stacks_by_cluster_and_namespace_and_leaves_out_what_it_cannot_read(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def names(_: Stacks) -> Sequence[str]:
        return ("web", "api", "far", "lost", "broken", "UPPER")

    monkeypatch.setattr(Stacks, "names", names)
    monkeypatch.setattr(sessions, "find_home", lambda *_: Home(machine.folder))
    machine.stack()
    machine.stack("api", namespace="team-a")
    machine.stack("far", cluster="another")
    machine.stack("broken", text="{")
    machine.stack("UPPER")
    caller = machine.viewing().caller
    assert anyio.run(sessions.stacks_of, "uid", caller) == {("run-web", "web"), ("team-a", "api")}
