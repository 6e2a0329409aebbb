"""Services that crash amid a save, for real: the loop heals by itself, and says what happened."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitops_run.sandbox import lifecycle
from gitops_run.sandbox.state import NodeKind, Sandbox, sandbox_folder
from gitops_run.sandbox.status import status_of
from tests.conftest import EXAMPLES, SANDBOX, homes
from tests.people import Person

NAME = "outages"


def config_map(name: str, value: str) -> str:
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\ndata:\n  value: {value!r}\n"


class Place:
    """A sandbox of its own, where parts may crash, with a session in it."""

    def __init__(self, sandbox: Sandbox, home: Path) -> None:
        self.sandbox = sandbox
        self._stopped: dict[str, int] = {}
        self.root = Path(shutil.copytree(EXAMPLES / "plain", home / "plain"))
        self.person = Person(env={**os.environ, **sandbox.env, **homes(home)}, cwd=self.root)

    def crash(self, part: str) -> None:
        """End a part as the kernel does; the sandbox starts it again."""
        os.kill(self._pid(part), signal.SIGKILL)

    def stop_part(self, part: str) -> None:
        """Let a part answer nothing until it is continued."""
        self._stopped[part] = self._pid(part)
        os.kill(self._stopped[part], signal.SIGSTOP)

    def continue_part(self, part: str) -> None:
        os.kill(self._stopped[part], signal.SIGCONT)

    def _pid(self, part: str) -> int:
        parts = status_of(self.sandbox.name, self.sandbox.folder.parent).parts
        pid = next(found.pid for found in parts if found.name == part)
        assert pid is not None
        return pid

    def value(self, name: str) -> str:
        items = self.person.get("configmaps", f"run-{NAME}")
        found = (item["data"]["value"] for item in items if item["metadata"]["name"] == name)
        return str(next(found, ""))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    name = f"{SANDBOX}-outages"
    if lifecycle.is_up(sandbox_folder(name)):
        lifecycle.stop(name)
    shutil.rmtree(sandbox_folder(name), ignore_errors=True)  # sessions of an earlier run
    place = Place(lifecycle.start(name, node=NodeKind.SIMULATED), tmp_path_factory.mktemp("outages"))
    try:
        place.person.succeeds("up", NAME, str(place.root), "--root", str(place.root))
        yield place
    finally:
        lifecycle.stop(name)


@pytest.mark.parametrize("part", ["source-controller", "kustomize-controller", "versitygw", "kube-apiserver"])
def test_a_save_amid_a_crash_is_applied_once_the_service_is_back(place: Place, part: str) -> None:
    with place.person.leaves_running("sync", NAME, "--allow-prune") as sync:
        sync.tells("save_applied")
        for number in range(20):
            (place.root / f"{part}-{number}.yaml").write_text(config_map(f"{part}-{number}", "1"))
        place.crash(part)
        sync.tells_until(lambda _: place.value(f"{part}-19") == "1", "save_applied")
        (place.root / f"{part}-0.yaml").write_text(config_map(f"{part}-0", "2"))
        sync.tells_until(lambda _: place.value(f"{part}-0") == "2", "save_applied")


def test_a_sync_that_is_started_while_the_api_server_is_down_waits_for_it_and_says_so(place: Place) -> None:
    place.stop_part("kube-apiserver")
    try:
        with place.person.leaves_running("sync", NAME, "--allow-prune") as sync:
            waiting = sync.tells("service_failed")
            assert "can't be reached" in waiting["message"]
            place.continue_part("kube-apiserver")
            sync.tells("save_applied")
    finally:
        place.continue_part("kube-apiserver")


def test_an_emptied_store_is_told_and_filled_again_before_the_next_save_reaches_flux(place: Place) -> None:
    with place.person.leaves_running("sync", NAME, "--allow-prune") as sync:
        sync.tells("save_applied")
        bucket = next((place.sandbox.folder / "store" / "objects").glob(f"gitops-run-{NAME}-*"))
        shutil.rmtree(bucket / "src")
        (place.root / "after.yaml").write_text(config_map("after", "1"))
        sync.tells("store_differed")
        sync.tells_until(lambda _: place.value("after") == "1", "save_applied")
        assert "settings" in place.person.names("configmaps", f"run-{NAME}")
