"""Programs over Pulumi's Automation API, by somebody who has installed the package and done no more."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

import gitops_run
from tests.conftest import EXAMPLES
from tests.people import Person

NAMES = {"red", "green", "blue"}
SCRIPT_PATIENCE_S = 240


@dataclass(frozen=True)
class Installation:
    """A virtual environment that nobody activates. person: who uses it, with a PULUMI_HOME of their own."""

    python: Path
    person: Person

    def runs(self, script: str, action: str) -> None:
        result = subprocess.run(
            [self.python, EXAMPLES / "scripts" / script, action],
            env=self.person.env,
            cwd=self.person.cwd,
            capture_output=True,
            text=True,
            timeout=SCRIPT_PATIENCE_S,
            check=False,
        )
        assert result.returncode == 0, f"{result.stdout}\n{result.stderr}"

    @contextmanager
    def fleet(self, script: str) -> Iterator[None]:
        """Have the sessions of a script, which it ends whatever happens meanwhile."""
        try:
            self.runs(script, "up")
            yield
        finally:
            self.runs(script, "destroy")

    def sessions(self) -> set[str]:
        return {session["name"] for session in self.person.succeeds("list", "-o", "json").json}

    def traces(self) -> list[Path]:
        """List what the tool's own project has of these sessions: states, stack files, records of runs."""
        home = self.person.cwd
        return [
            path
            for path in home.rglob("*")
            if path.is_file() and path.stem.removeprefix("Pulumi.") in NAMES and "fleet" not in path.parts
        ]


@pytest.fixture(scope="module")
def installation(
    make_person: Callable[[str], Person], tmp_path_factory: pytest.TempPathFactory
) -> Installation:
    """What `pip install` makes, but for the dependencies, which are those of this environment."""
    folder = tmp_path_factory.mktemp("installation")
    venv.create(folder, with_pip=False)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    shutil.copytree(Path(gitops_run.__file__).parent, packages / "gitops_run")
    (packages / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    person = make_person("scripter")
    folders = person.env["PATH"].split(os.pathsep)
    path = os.pathsep.join(one for one in folders if one != str(Path(sys.prefix, "bin")))
    return Installation(folder / "bin" / "python", Person(env={**person.env, "PATH": path}, cwd=person.cwd))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("script", ["one_stack.py", "three_stacks.py"])
def test_a_script_makes_three_sessions_of_which_each_takes_saves_and_ends_them(
    installation: Installation, script: str
) -> None:
    person = installation.person
    with installation.fleet(script):
        assert installation.sessions() >= NAMES
        with person.leaves_running("sync", "green", "--root", str(EXAMPLES / "web")) as sync:
            sync.tells("save_applied")

        target, root = str(EXAMPLES / "web/overlays/dev"), str(EXAMPLES / "web")
        for command in (("up", "red", target, "--root", root), ("up", "red", target), ("down", "red")):
            refused = person.types(*command)
            assert refused.code == 3, refused.err
            assert "of project fleet" in refused.err
        assert installation.traces() == []

    assert not installation.sessions() & NAMES
