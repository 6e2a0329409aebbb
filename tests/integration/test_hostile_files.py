"""Files that would stop a sync, amid a real one: what matters is reported; the next save is applied."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tests.integration.conftest import SharedSession
from tests.people import Running

NOT_UTF8 = os.fsdecode(b"caf\xe9")
BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n"
    for before, name in zip("abcdefghi", "bcdefghij", strict=True)
)
HEAD = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: hostile}\n"


def save(session: SharedSession, sync: Running, value: str) -> None:
    """Save a good file, and wait until it is applied: what was changed before may be a save of its own."""
    (session.root / "good.yaml").write_text(
        f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: good}}\ndata: {{value: {value}}}\n"
    )

    def is_live(_: dict[str, Any]) -> bool:
        found = session.owner.get("configmaps", session.namespace)
        return [item["data"]["value"] for item in found if item["metadata"]["name"] == "good"] == [value]

    sync.tells_until(is_live, "save_applied")


def refused(sync: Running) -> dict[str, Any]:
    (problem,) = sync.tells("save_broken")["problems"]
    found: dict[str, Any] = problem
    return found


def test_a_name_that_is_not_utf8_is_reported_where_it_is_needed_and_ends_nothing(
    session: SharedSession,
) -> None:
    with session.syncing() as sync:
        (session.root / f"{NOT_UTF8}.txt").write_text("")
        save(session, sync, "one")
        manifest = session.root / f"{NOT_UTF8}.yaml"
        manifest.write_text(HEAD)
        assert refused(sync)["path"].startswith("caf")
        manifest.unlink()
        save(session, sync, "two")


def test_pipes_and_patterns_that_backtrack_end_nothing(session: SharedSession) -> None:
    with session.syncing() as sync:
        (session.root / f"{'a' * 80}.yaml").write_text(HEAD)
        sync.tells("save_applied")
        (session.root / ".sourceignore").write_text(f"{'*a' * 30}*b\n")
        os.mkfifo(session.root / ".gitignore")
        save(session, sync, "one")
        os.mkfifo(session.root / "pipe.yaml")
        assert refused(sync)["message"] == "this is not a regular file"
        (session.root / "pipe.yaml").unlink()
        save(session, sync, "two")


def test_anchors_that_expand_without_an_end_are_refused_and_the_next_save_is_applied(
    session: SharedSession,
) -> None:
    hostile = session.root / "hostile.yaml"
    with session.syncing() as sync:
        hostile.write_text(HEAD + BOMB)
        problem = refused(sync)
        assert (problem["path"], problem["line"]) == ("hostile.yaml", 9)
        hostile.write_text(f"{HEAD}data: &a\n  b: *a\n")
        problem = refused(sync)
        assert problem["message"] == "too much YAML: the anchor &a contains itself"
        hostile.unlink()
        save(session, sync, "one")


def test_a_rendering_that_needs_too_much_memory_is_refused_and_the_next_save_is_applied(
    session: SharedSession,
) -> None:
    large: Path = session.root / "large.yaml"
    with session.in_root().leaves_running(
        "sync", session.name, "--allow-prune", "--render-memory-mb", "200"
    ) as sync:
        save(session, sync, "one")
        written = session.root.with_name("large.yaml")  # and renamed: a part of it needs less memory
        written.write_text(f"{HEAD}data:\n" + "".join(f"  key{number}: value\n" for number in range(500_000)))
        written.rename(large)
        problem = refused(sync)
        said = (problem["path"], problem["message"])
        assert said == ("large.yaml", "kustomize needs more than 200 MiB of memory")
        assert "renderMemoryMb" in problem["hint"]
        large.unlink()
        save(session, sync, "two")
