"""The script that creates the sessions of a team, on a real cluster."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from gitops_run.sandbox.state import Sandbox
from tests.conftest import EXAMPLES
from tests.people import Finished, Person

SCRIPT_PATIENCE_S = 240


@dataclass(frozen=True)
class Team:
    """A platform engineer, with the file of a team of three."""

    engineer: Person
    file: Path
    names: tuple[str, str, str]

    def runs(self, action: str) -> Finished:
        result = subprocess.run(
            [sys.executable, EXAMPLES / "team.py", action, self.file, "--at-once", "2"],
            env=dict(self.engineer.env),
            cwd=self.engineer.cwd,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SCRIPT_PATIENCE_S,
            check=False,
        )
        return Finished(result.returncode, result.stdout, result.stderr)

    def pulumi(self, *arguments: str) -> str:
        result = subprocess.run(
            ["pulumi", "--non-interactive", *arguments],
            env=dict(self.engineer.env),
            cwd=Path(self.engineer.env["XDG_DATA_HOME"]) / "gitops-run" / "project",
            capture_output=True,
            text=True,
            timeout=SCRIPT_PATIENCE_S,
            check=False,
        )
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    def says(self, name: str, **settings: object) -> None:
        """Change what the file says of a session; None takes a setting out."""
        document = yaml.safe_load(self.file.read_text())
        (entry,) = [entry for entry in document["sessions"] if entry["name"] == name]
        entry.update(settings)
        for key in [key for key, value in settings.items() if value is None]:
            del entry[key]
        self.file.write_text(yaml.safe_dump(document))

    def uids(self, name: str) -> dict[str, str]:
        """Read the UIDs of what a session consists of in the cluster."""
        kinds = (
            "buckets.source.toolkit.fluxcd.io,kustomizations.kustomize.toolkit.fluxcd.io,roles,rolebindings"
        )
        told = self.engineer.kubectl("get", f"{kinds},secrets", "-n", f"run-{name}", "-o", "json")
        return {
            f"{item['kind']}/{item['metadata']['name']}": item["metadata"]["uid"]
            for item in json.loads(told)["items"]
        }


@pytest.fixture
def team(sandbox: Sandbox, make_person: Callable[[str], Person], tmp_path: Path) -> Iterator[Team]:
    mark = uuid.uuid4().hex[:6]
    names = (f"ann-{mark}", f"ben-{mark}", f"cleo-{mark}")
    sessions = [{"name": name, "owner": f"{name}@example.com"} for name in names]
    defaults = {"context": sandbox.context, "root": str(EXAMPLES / "plain"), "target": ".", "ttl": "5d"}
    (tmp_path / "team.yaml").write_text(yaml.safe_dump({"defaults": defaults, "sessions": sessions}))
    made = Team(make_person("engineer"), tmp_path / "team.yaml", names)
    yield made
    made.runs("down")


def results(finished: Finished) -> dict[str, str]:
    """Read what was done to each session from the lines of progress."""
    lines = [line.split() for line in finished.out.splitlines() if "/3 " in line]
    return {words[1].removesuffix(":"): " ".join(words[2:]).partition(" in ")[0] for words in lines}


@pytest.mark.timeout(600)
def test_a_session_that_fails_is_named_and_a_second_run_creates_only_what_is_missing(team: Team) -> None:
    ann, ben, cleo = team.names
    team.says(ben, namespace="kube-system")
    first = team.runs("up")
    assert first.code == 1, first.out + first.err
    assert results(first) == {ann: "created", ben: "failed", cleo: "created"}
    assert f"failed: {ben}" in first.out
    assert "kube-system" in first.out

    made = {name: team.uids(name) for name in (ann, cleo)}
    team.says(ben, namespace=None)
    second = team.runs("up")
    assert second.code == 0, second.out + second.err
    assert results(second) == {ann: "unchanged", ben: "created", cleo: "unchanged"}
    assert {name: team.uids(name) for name in (ann, cleo)} == made

    listed = {one["name"]: one for one in team.engineer.succeeds("list", "-o", "json").json}
    assert {name: listed[name]["owner"] for name in team.names} == {
        name: f"{name}@example.com" for name in team.names
    }
    ended = team.runs("down")
    assert ended.code == 0, ended.out + ended.err
    assert results(ended) == dict.fromkeys(team.names, "ended")
    assert not {f"run-{name}" for name in team.names} & team.engineer.names("namespaces")
    assert results(team.runs("down")) == dict.fromkeys(team.names, "not there")


@pytest.mark.timeout(600)
def test_pulumi_creates_a_session_from_its_stack_file_and_the_script_finds_it_complete(team: Team) -> None:
    ann, ben, cleo = team.names
    written = team.runs("stacks")
    assert [Path(line).stem for line in written.out.splitlines()] == [f"Pulumi.{name}" for name in team.names]
    team.pulumi("stack", "init", ann)
    team.pulumi("up", "--yes", "--skip-preview", "--stack", ann)
    team.says(ann, ttl="2d")
    found = team.runs("up")
    assert results(found) == {ann: "changed", ben: "created", cleo: "created"}, found.out + found.err
    assert results(team.runs("up")) == dict.fromkeys(team.names, "unchanged")
