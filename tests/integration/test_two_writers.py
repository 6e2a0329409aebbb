"""Two syncs of one session on one machine: the one that lost it harms nobody, whenever it was stopped."""

from __future__ import annotations

import os
import signal

import pytest

from tests.integration.conftest import SharedSession
from tests.people import Running


def config_map(name: str, value: str) -> str:
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\ndata:\n  value: {value!r}\n"


def write(session: SharedSession, value: str) -> None:
    for name in ("one", "two"):
        (session.root / f"{name}.yaml").write_text(config_map(name, value))


def values(session: SharedSession) -> set[str]:
    items = session.owner.get("configmaps", session.namespace)
    return {item["data"]["value"] for item in items if item["metadata"]["name"] in ("one", "two")}


def assert_it_stops(sync: Running) -> None:
    _, status = os.waitpid(sync.process.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)


def assert_it_was_taken_over(stopped: Running) -> None:
    stopped.process.send_signal(signal.SIGCONT)
    assert stopped.ends() == 3, stopped.errors
    assert "was taken over by" in stopped.errors


def test_a_stopped_sync_that_was_taken_over_ends_and_leaves_the_winner_its_files(
    session: SharedSession,
) -> None:
    with session.syncing() as stopped:
        stopped.process.send_signal(signal.SIGSTOP)
        with session.in_root().leaves_running("sync", session.name, "--take-over", "--allow-prune") as winner:
            winner.tells("save_applied")
            assert_it_was_taken_over(stopped)
            write(session, "winner")
            winner.tells_until(lambda _: values(session) == {"winner"}, "save_applied")
            (session.root / "one.yaml").write_text(config_map("one", "later"))
            winner.tells_until(lambda _: values(session) == {"winner", "later"}, "save_applied")
            assert not session.source()["spec"].get("suspend", False)


@pytest.mark.parametrize(("step", "when"), [("fence", "before"), ("put_many", "after")])
def test_a_sync_that_was_stopped_amid_a_push_never_fences_the_winner_s_bucket(
    session: SharedSession, step: str, when: str
) -> None:
    with session.syncing():
        pass
    write(session, "loser")
    with session.signalled("SIGSTOP", step, when) as stopped:
        assert_it_stops(stopped)
        write(session, "winner")
        with session.in_root().leaves_running("sync", session.name, "--take-over", "--allow-prune") as winner:
            winner.tells("save_applied")
            assert_it_was_taken_over(stopped)
            assert values(session) == {"winner"}
            assert not session.source()["spec"].get("suspend", False)
            (session.root / "one.yaml").write_text(config_map("one", "later"))
            winner.tells("save_applied")
            assert "store_differed" not in {event["type"] for event in winner.told}
