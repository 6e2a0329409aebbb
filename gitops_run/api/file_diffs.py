"""What each save changed in the files, where this machine keeps the session's snapshots: nowhere else.

A value that the files hold for a Secret is masked, as everywhere.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Final

from gitops_run.adapters.files.history import SessionHistory
from gitops_run.adapters.machine.remembered import history_folder
from gitops_run.adapters.machine.user_files import cache_directory
from gitops_run.api.caller import Caller
from gitops_run.model.objects.secret_values import TooMuchText, of_files
from gitops_run.model.session.key import SessionKey
from gitops_run.model.state.history import KeptSnapshot
from gitops_run.model.text.masking import Masker
from gitops_run.model.tree.file_diff import FILES_MAX, FileChange, changed_paths, file_change

PAIRS_MAX: Final = 20
SNAPSHOT_FILES_MAX: Final = 5_000
"""Of more files, the values of Secrets aren't looked for, and so nothing of them is shown."""


class FileDiffs:
    """Compare the kept snapshots of one session, each pair once."""

    def __init__(self, key: SessionKey, caller: Caller) -> None:
        work = Path(cache_directory(caller.environment))
        self._folder = history_folder(caller.environment, key)
        self._history = SessionHistory(self._folder, work)
        self._known: dict[tuple[str, str], tuple[FileChange, ...]] = {}

    @property
    def are_here(self) -> bool:
        """Say whether this machine keeps snapshots of the session."""
        return self._folder.is_dir()

    def by_revision(self) -> dict[str, tuple[FileChange, ...]]:
        """Say what each kept snapshot changed compared with the one before. Reads files: for a thread."""
        kept = self._history.kept()[-PAIRS_MAX - 1 :]
        pairs = tuple(pairwise(kept))
        found = {
            (before.revision, after.revision): self._known.get((before.revision, after.revision))
            or self._changes(before, after)
            for before, after in pairs
        }
        self._known = found
        return {after: changes for (_, after), changes in found.items()}

    def _changes(self, before: KeptSnapshot, after: KeptSnapshot) -> tuple[FileChange, ...]:
        names = [{path: file.content for path, file in one.files.items()} for one in (before, after)]
        paths = changed_paths(*names)
        masker = self._masker(before, after)
        if masker is None:
            return tuple(FileChange(path=path, note="there are too many files") for path in paths[:FILES_MAX])
        return tuple(
            file_change(path, self._read(before, path), self._read(after, path), masker.mask_whole)
            for path in paths[:FILES_MAX]
        )

    def _masker(self, *snapshots: KeptSnapshot) -> Masker | None:
        """Learn what the files hold for Secrets; None where that is too much to read."""
        masker = Masker()
        for one in snapshots:
            if len(one.files) > SNAPSHOT_FILES_MAX:
                return None
            try:
                masker.learn(of_files(one.files, lambda path, of=one: self._text(of, path)))  # type: ignore[misc]
            except TooMuchText:
                return None
        return masker

    def _text(self, snapshot: KeptSnapshot, path: str) -> str | None:
        content = self._read(snapshot, path)
        return None if content is None else content.decode("utf-8", "replace")

    def _read(self, snapshot: KeptSnapshot, path: str) -> bytes | None:
        file = snapshot.files.get(path)
        return self._history.read(file) if file else None
