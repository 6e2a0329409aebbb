"""Services that crash amid a save, for real: the loop heals by itself, and says what happened."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import anyio
import pytest
from playwright.sync_api import expect

from gitops_run.adapters.cluster import connection as connection_module
from gitops_run.adapters.cluster.connection import Connection, connect
from gitops_run.adapters.cluster.reflector import Gone, Listed, Seen, reflect
from gitops_run.errors import TransientError
from gitops_run.sandbox import lifecycle
from gitops_run.sandbox.state import NodeKind, Sandbox, sandbox_folder
from gitops_run.sandbox.status import status_of
from tests.browser.chromium import chromium
from tests.conftest import EXAMPLES, SANDBOX, homes
from tests.integration.page_visits import needs_chromium, visiting
from tests.people import Person

NAME = "outages"
PATIENCE_S = 60.0
RETRY_S = 0.1
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"


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


@needs_chromium
def test_a_page_is_dimmed_while_the_api_server_is_down_and_goes_on_once_it_is_back(place: Place) -> None:
    with chromium() as browser, visiting(place.person, browser) as visit:
        page = visit.opens()
        row = page.locator(f"#row-run-{NAME}_{NAME}")
        expect(page.locator("body")).to_have_attribute("data-stream", "live")
        place.crash("kube-apiserver")
        expect(page.locator("#cut")).to_contain_text("reconnecting")
        expect(row).to_be_visible()
        expect(page.locator("body")).to_have_attribute("data-stream", "live", timeout=PATIENCE_S * 1000)
        assert visit.metric("gitops_run_is_current") == 1


def labelled(name: str, label: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": {"test": label}}}


async def eventually(act: Callable[[], Awaitable[object]]) -> None:
    """Act until the API server is back."""
    with anyio.fail_after(PATIENCE_S):
        while True:
            try:
                await act()
            except TransientError:
                await anyio.sleep(RETRY_S)
            else:
                return


def test_what_is_deleted_while_a_watch_is_away_is_reported_as_gone_and_the_watch_goes_on(
    place: Place,
) -> None:
    async def main() -> None:
        async with connect(str(place.sandbox.kubeconfig), place.sandbox.context) as connection:
            for name in ("kept", "left"):
                await connection.create(CONFIG_MAPS, labelled(name, "deletion"))
            news = reflect(connection, CONFIG_MAPS, {"labelSelector": "test=deletion"})
            async with aclosing(news):
                first = await anext(news)
                assert isinstance(first, Listed)
                assert [live["metadata"]["name"] for live in first.items] == ["kept", "left"]
                place.crash("kube-apiserver")
                await eventually(lambda: connection.delete(f"{CONFIG_MAPS}/left"))
                with anyio.fail_after(PATIENCE_S):
                    assert await anext(news) == Gone("default", "left")
                    await connection.create(CONFIG_MAPS, labelled("new", "deletion"))
                    last = await anext(news)
                assert isinstance(last, Seen)
                assert last.live["metadata"]["name"] == "new"

    anyio.run(main)


def test_a_watch_whose_time_is_over_goes_on_without_another_list(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "WATCH_S", 1)
    asked: list[str] = []
    third_watch = anyio.Event()

    async def get(self: Connection, path: str, query: object = None) -> Any:
        asked.append("list")
        return await original_get(self, path, query)  # type: ignore[arg-type]

    def watch(self: Connection, path: str, query: dict[str, str], opened: Any) -> Any:
        asked.append(query["resourceVersion"])
        if len(asked) > 3:
            third_watch.set()
        return original_watch(self, path, query, opened)

    original_get, original_watch = Connection.get, Connection.watch
    monkeypatch.setattr(Connection, "get", get)
    monkeypatch.setattr(Connection, "watch", watch)

    async def main() -> None:
        async with connect(str(place.sandbox.kubeconfig), place.sandbox.context) as connection:
            news = reflect(connection, CONFIG_MAPS, {"labelSelector": "test=timeout"})
            async with aclosing(news), anyio.create_task_group() as tasks:
                await anext(news)

                async def change_late() -> None:
                    await third_watch.wait()
                    await connection.create(CONFIG_MAPS, labelled("late", "timeout"))

                tasks.start_soon(change_late)
                with anyio.fail_after(PATIENCE_S):
                    assert isinstance(await anext(news), Seen)

    anyio.run(main)
    assert asked.count("list") == 1
