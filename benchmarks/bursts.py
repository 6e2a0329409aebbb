"""What writes files in bursts, done for real: git, editors, formatters, copies, loops in a shell.

Each burst takes a prepared work tree (see `prepare`) and returns when it is through.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.checkout import git, make_branches
from benchmarks.targets import EDITED, make_target, settings, write_settings

COPIED = 200
REWRITTEN = 50
GENERATED = 20
SAVED_AT_ONCE = 5
BETWEEN_SAVES_S = 0.01
BETWEEN_TRUNCATION_AND_CONTENT_S = 0.06
LARGE_ITEMS = 60
"""Entries of each large ConfigMap, so that to parse and write it takes what a formatter takes for a file."""

FORMATTER = """
import sys, yaml
for path in sys.argv[1:]:
    with open(path) as file:
        parsed = yaml.safe_load(file)
    with open(path, "w") as file:
        yaml.safe_dump(parsed, file, width=60)
"""
GENERATOR = "import json, pathlib, sys; pathlib.Path(sys.argv[1]).write_text(json.dumps({}))"


def prepare(root: Path, beside: Path) -> None:
    """Make a repository with branches, files for a formatter in it, and files to copy beside it.

    Without a kustomization: each file that appears is part of the target, and so is news.
    """
    make_target(root, 500)
    (root / "kustomization.yaml").unlink()
    make_branches(root)
    items = "".join(f"  key-{number}: {'value ' * 12}{number}\n" for number in range(LARGE_ITEMS))
    for number in range(REWRITTEN):
        (root / f"large-{number}.yaml").write_text(settings(f"large-{number}", "0") + items, encoding="utf-8")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "large files")
    make_target(beside / "copied", COPIED)


def restore(root: Path) -> None:
    """Bring the work tree back to what `prepare` made."""
    git(root, "checkout", "--quiet", "--force", "main")
    git(root, "clean", "--quiet", "-d", "--force")
    git(root, "stash", "clear")


def checkout(root: Path, _: Path) -> None:
    """Go to a branch on which 500 files differ."""
    git(root, "checkout", "--quiet", "one")


def stash(root: Path, _: Path) -> None:
    """Put 50 edited files away."""
    _edit_many(root)
    git(root, "stash", "--quiet")


def stash_pop(root: Path, _: Path) -> None:
    """Put them away and fetch them back."""
    _edit_many(root)
    git(root, "stash", "--quiet")
    git(root, "stash", "pop", "--quiet")


def plain_write(root: Path, _: Path) -> None:
    """Write one file in place, as `kustomize edit` does."""
    write_settings(root, EDITED, "plain")


def write_by_rename(root: Path, _: Path) -> None:
    """Write a file beside, and rename it, as VS Code's and JetBrains' safe writes do."""
    _write_synced(root / f"{EDITED}.yaml.tmp", "renamed")
    (root / f"{EDITED}.yaml.tmp").rename(root / f"{EDITED}.yaml")


def write_with_backup(root: Path, _: Path) -> None:
    """Probe the folder, move the file to a backup, write it again, remove the backup, as Vim does."""
    path, backup = root / f"{EDITED}.yaml", root / f"{EDITED}.yaml~"
    (root / "4913").touch()
    (root / "4913").unlink()
    path.rename(backup)
    _write_synced(path, "vim")
    backup.unlink()


def formatter(root: Path, _: Path) -> None:
    """Parse and rewrite 50 files of 60 entries in one process."""
    files = [str(root / f"large-{number}.yaml") for number in range(REWRITTEN)]
    subprocess.run([sys.executable, "-c", FORMATTER, *files], check=True)


def copy(root: Path, beside: Path) -> None:
    """Copy a folder of 200 files into the root."""
    subprocess.run(["cp", "-r", str(beside / "copied"), str(root / "copied")], check=True)


def sed_loop(root: Path, _: Path) -> None:
    """Edit 50 files by a process for each."""
    loop = f"for n in $(seq 0 {REWRITTEN - 1}); do sed -i s/main/sed/ settings-$n.yaml; done"
    subprocess.run(["bash", "-c", loop], cwd=root, check=True)


def generator_loop(root: Path, _: Path) -> None:
    """Write 20 files by a Python process for each: slower than any other loop here."""
    for number in range(GENERATED):
        name = str(root / f"generated-{number}.json")
        subprocess.run([sys.executable, "-S", "-c", GENERATOR, name], check=True)


def script_loop(root: Path, _: Path) -> None:
    """Edit 20 files by a Python process for each."""
    for number in range(GENERATED):
        edit = (
            f"import pathlib; p = pathlib.Path('settings-{number}.yaml'); p.write_text(p.read_text() + '#')"
        )
        subprocess.run([sys.executable, "-S", "-c", edit], cwd=root, check=True)


def save_all(root: Path, _: Path) -> None:
    """Write five files one after another, as an editor's "save all" does."""
    for number in range(SAVED_AT_ONCE):
        write_settings(root, f"settings-{number}", "all")
        time.sleep(BETWEEN_SAVES_S)


def slow_write(root: Path, _: Path) -> None:
    """Truncate a file and write its content later, as a program does that computes it meanwhile."""
    with (root / f"{EDITED}.yaml").open("w", encoding="utf-8") as file:
        time.sleep(BETWEEN_TRUNCATION_AND_CONTENT_S)
        file.write(settings(EDITED, "slow"))


BURSTS: dict[str, Callable[[Path, Path], None]] = {
    "one plain write": plain_write,
    "write, fsync, rename": write_by_rename,
    "Vim: backup, write": write_with_backup,
    "git checkout, 500 files": checkout,
    "git stash, 50 files": stash,
    "git stash and pop, 50 files": stash_pop,
    "cp -r, 200 files": copy,
    "formatter, 50 files": formatter,
    "sed -i, 50 processes": sed_loop,
    "generator, 20 processes": generator_loop,
    "script, 20 processes": script_loop,
    "save all, 5 files": save_all,
    "truncated, written after 60 ms": slow_write,
}


def _edit_many(root: Path) -> None:
    for number in range(REWRITTEN):
        write_settings(root, f"settings-{number}", "stashed")


def _write_synced(path: Path, value: str) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write(settings(EDITED, value))
        file.flush()
        os.fsync(file.fileno())
