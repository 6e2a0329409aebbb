"""The snapshots of a session that can be brought back: what each holds, and which one a person means.

This module knows their form as JSON, the names of their files, how they compare and how a revision may be
shortened. It knows nothing of where they are kept.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol, TypeVar

from gitops_run.errors import NotFound, UsageError
from gitops_run.model.flux.requests import Request
from gitops_run.model.store.objects import key_problem
from gitops_run.model.tree.tree import FileEntry, Tree, diff

DIGEST_PREFIX: Final = "sha256:"
SHORT_DIGITS: Final = 12
ORDER_DIGITS: Final = 20
_PREFIX: Final = re.compile(r"[0-9a-f]{4,64}")
_CONTENT: Final = re.compile(r"[0-9a-f]{64}")
_FORM: Final = 1
_NS_PER_S: Final = 1_000_000_000


class Kept(Protocol):
    """A snapshot that can be brought back, here or by the sync that keeps it. taken: RFC 3339."""

    @property
    def revision(self) -> str: ...  # noqa: D102
    @property
    def taken(self) -> str: ...  # noqa: D102


_Kept = TypeVar("_Kept", bound=Kept)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptFile:
    """Describe one file of a kept snapshot. digest: MD5. content: SHA-256, the name its bytes are kept by."""

    size: int
    digest: str
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptSnapshot:
    """Describe one snapshot that Flux has applied. order: nanoseconds since 1970, unique in a history."""

    revision: str
    order: int
    files: Mapping[str, KeptFile]

    @property
    def taken(self) -> str:
        """Write when it was kept: RFC 3339, in UTC."""
        return datetime.fromtimestamp(self.order // _NS_PER_S, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    @property
    def tree(self) -> Tree:
        """Describe its files as those of any snapshot."""
        return Tree(
            {
                path: FileEntry(path=path, size=file.size, digest=file.digest)
                for path, file in self.files.items()
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoRequest:
    """Ask for an earlier snapshot. revision: whole. request: what asked for it and has no answer yet."""

    revision: str
    request: Request | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Count what a snapshot changed against the one before."""

    added: int
    changed: int
    deleted: int

    def __str__(self) -> str:
        return f"+{self.added} ~{self.changed} -{self.deleted}"


def difference(before: KeptSnapshot | None, after: KeptSnapshot) -> Difference:
    """Count the files that differ. before: None where there was nothing."""
    old = {} if before is None else before.tree.digests
    plan = diff(old, after.tree.digests)
    changed = sum(path in old for path in plan.puts)
    return Difference(added=len(plan.puts) - changed, changed=changed, deleted=len(plan.deletes))


def short(revision: str) -> str:
    """Shorten a revision to what a person reads and types."""
    return revision.removeprefix(DIGEST_PREFIX)[:SHORT_DIGITS]


def find(kept: Sequence[_Kept], text: str) -> _Kept:
    """Find the snapshot that a person named. text: at least 4 digits of its digest, "sha256:" may lead.

    Raises UsageError where it is no such prefix or fits several, NotFound where it fits none.
    """
    digits = text.lower().removeprefix(DIGEST_PREFIX)
    if not _PREFIX.fullmatch(digits):
        raise UsageError(
            f"{text!r} is not a revision: name at least 4 of its hexadecimal digits",
            hint="to see what there is: gitops-run history NAME",
        )
    found = [snapshot for snapshot in kept if snapshot.revision.startswith(f"{DIGEST_PREFIX}{digits}")]
    if not found:
        raise NotFound(
            f"revision {text} is not in this session's history",
            hint="to see what there is: gitops-run history NAME",
        )
    if len(found) > 1:
        names = ", ".join(f"{short(snapshot.revision)} of {snapshot.taken}" for snapshot in found)
        raise UsageError(f"{text} fits {len(found)} revisions: {names}", hint="use more digits")
    return found[0]


def before(kept: Sequence[_Kept], live: str) -> _Kept:
    """Find the snapshot before the live one; the newest where the live one isn't kept.

    kept: oldest first. Raises NotFound where there is none.
    """
    revisions = [snapshot.revision for snapshot in kept]
    position = revisions.index(live) if live in revisions else len(revisions)
    if position == 0:
        raise NotFound(
            "this session's history has no snapshot before the live one"
            if kept
            else "there is no history yet",
            hint="a snapshot is kept on the machine that syncs, for each save that Flux has applied",
        )
    return kept[position - 1]


def to_text(files: Mapping[str, KeptFile]) -> str:
    """Write a snapshot's files as JSON."""
    rows = {path: [file.size, file.digest, file.content] for path, file in files.items()}
    return json.dumps({"form": _FORM, "files": rows}, separators=(",", ":"))


def parse_files(text: str) -> dict[str, KeptFile]:
    """Read a snapshot's files. Raises ValueError on what `to_text` would never write."""
    document = json.loads(text)
    if not isinstance(document, dict) or document.get("form") != _FORM:
        raise ValueError("not a snapshot of this form")
    rows = document.get("files")
    if not isinstance(rows, dict):
        raise ValueError("a snapshot without files")  # noqa: TRY004 - what is wrong is the text
    return {path: _file(path, row) for path, row in rows.items()}


def _file(path: str, row: object) -> KeptFile:
    """Read one file; a path that leads elsewhere, or a content that is no digest, is no file of ours."""
    match row:
        case [int(size), str(digest), str(content)] if _CONTENT.fullmatch(content) and not key_problem(path):
            return KeptFile(size=size, digest=digest, content=content)
    raise ValueError(f"{path!r} is described wrongly")


def snapshot_name(order: int, revision: str) -> str:
    """Name the file of a snapshot, so that names sort as the snapshots were kept."""
    return f"{order:0{ORDER_DIGITS}d}-{revision.removeprefix(DIGEST_PREFIX)}.json"


def parse_name(name: str) -> tuple[int, str] | None:
    """Read order and revision from the name of a snapshot's file; None where it is none."""
    order, _, digits = name.removesuffix(".json").partition("-")
    is_ours = name.endswith(".json") and len(order) == ORDER_DIGITS and order.isdigit() and bool(digits)
    return (int(order), f"{DIGEST_PREFIX}{digits}") if is_ours else None


def order_of(name: str) -> int:
    """Read a snapshot's order from its file's name; 0 where it is none."""
    parsed = parse_name(name)
    return parsed[0] if parsed else 0


def revision_of(name: str) -> str:
    """Read a snapshot's revision from its file's name; "" where it is none."""
    parsed = parse_name(name)
    return parsed[1] if parsed else ""
