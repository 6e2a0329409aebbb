"""The contents of a history's snapshots, each kept once, by its SHA-256.

Knows which contents are used, and by how many snapshots. Knows nothing of the snapshots' own files.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from gitops_run.adapters.files.private_folder import make_private, names_in, write_whole
from gitops_run.model.state.history import KeptFile, KeptSnapshot
from gitops_run.model.tree.snapshot import Snapshot
from gitops_run.model.tree.tree import FileEntry, Tree

_Key = tuple[str, int]
"""What distinguishes contents before they are read: MD5 and size, as FileEntry has them."""


class Contents:
    """Keep contents in one folder. Not for several processes at once: its caller has a lock."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names: dict[_Key, str] = {}
        self._uses: Counter[str] = Counter()

    def make(self) -> None:
        """Make the folder."""
        make_private(self._folder)

    def keep(self, snapshot: Snapshot) -> bool:
        """Write the contents that are new; say whether all could be read as the tree describes them."""
        is_whole = True
        for entry in snapshot.tree.files.values():
            if _key(entry) in self._names:
                continue
            try:
                content = snapshot.read_bytes(entry.path)
            except OSError:
                content = b""
            if hashlib.md5(content, usedforsecurity=False).hexdigest() != entry.digest:
                is_whole = False
                continue
            name = hashlib.sha256(content).hexdigest()
            if not self._has(name, len(content)):
                write_whole(self._folder / name, content)
            self._names[_key(entry)] = name
        return is_whole

    def files(self, tree: Tree) -> dict[str, KeptFile]:
        """Say where the contents of a tree are, all of which are kept, by path."""
        return {
            path: KeptFile(size=entry.size, digest=entry.digest, content=self._names[_key(entry)])
            for path, entry in tree.files.items()
        }

    def use(self, files: Iterable[KeptFile]) -> None:
        """Count the contents of one more snapshot."""
        self._uses.update({file.content for file in files})

    def release(self, files: Iterable[KeptFile]) -> None:
        """Remove what a dropped snapshot had and no other one has."""
        contents = {file.content for file in files}
        self._uses.subtract(contents)
        unused = {content for content in contents if self._uses[content] <= 0}
        for content in unused:
            del self._uses[content]
            (self._folder / content).unlink(missing_ok=True)
        if unused:
            self._names = {key: name for key, name in self._names.items() if name not in unused}

    def learn(self, snapshots: Iterable[KeptSnapshot]) -> None:
        """Learn what is kept of all snapshots that there are, and remove what belongs to none."""
        self._names.clear()
        self._uses.clear()
        for kept in snapshots:
            self.use(kept.files.values())
            self._names |= {(file.digest, file.size): file.content for file in kept.files.values()}
        for unused in names_in(self._folder) - set(self._uses):
            (self._folder / unused).unlink(missing_ok=True)
        self._names = {key: name for key, name in self._names.items() if self._has(name, key[1])}

    def read(self, name: str) -> bytes | None:
        """Read a content; None where it isn't the one that was kept."""
        content = b""
        with suppress(FileNotFoundError):
            content = (self._folder / name).read_bytes()
        return content if hashlib.sha256(content).hexdigest() == name else None

    def _has(self, name: str, size: int) -> bool:
        """Say whether a content is there, and not one that a power failure has cut."""
        with suppress(OSError):
            return (self._folder / name).stat().st_size == size
        return False


def _key(entry: FileEntry) -> _Key:
    return entry.digest, entry.size
