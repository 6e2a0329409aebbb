"""Which files of a root a target needs, found by following what its kustomizations and charts name.

This module knows how kustomize resolves paths and what Flux generates where there is no kustomization. It
errs on the side of more: if the needed files can't be determined, the whole root is needed. What doesn't
parse names nothing; rendering reports that. It reads no disk: it looks through `Disk`.
Source: kustomize 5.8, api/internal/target; fluxcd/pkg kustomize, the generator; Helm 3, Chart.yaml.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from gitops_run.model.text.problem import Problem
from gitops_run.model.tree.kustomize import KUSTOMIZATION_FILES, MANIFEST_SUFFIXES
from gitops_run.model.tree.naming import (
    Naming,
    Reference,
    Remark,
    Role,
    chart_dependencies,
    is_written_out,
    named_by_kustomization,
    named_by_plugins,
)

CHART_FILE: Final = "Chart.yaml"
PATH_MAX: Final = 1024
"""The longest key that S3 takes."""
DEPTH_MAX: Final = 128
"""How many folders a path may lead through."""
_CHART_FILES: Final = (CHART_FILE, "requirements.yaml")
_VALUES_FILE: Final = "values.yaml"
_VENDORED: Final = "charts"
_REMOTE: Final = re.compile(
    r"^[a-z][a-z0-9+.-]*::|^[a-z][a-z0-9+.-]*://|^[\w.-]+@[\w.-]+:|^gh:|"
    r"^(www\.)?(github|gitlab)\.com[/:]|^bitbucket\.org[/:]|[?&](ref|version)=|\.git(/|\?|$)|/_git/",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Describe what is at a path. problem: why it can't be used, reported only if it is needed."""

    is_folder: bool = False
    problem: Problem | None = None


class Disk(Protocol):
    """A root, without what its ignore rules hide. Paths are relative to it, with "/"; "" is the root."""

    def look(self, path: str) -> Found | None:
        """Describe what is there; None for nothing."""
        ...

    def names(self, folder: str) -> Sequence[str]:
        """List a folder, sorted."""
        ...

    def text(self, path: str) -> str | None:
        """Read a file; None where that fails."""
        ...

    def led_to(self, path: str) -> str:
        """Follow the links in a path that was found; relative to the root."""
        ...

    def stand_in(self, path: str, source: str) -> None:
        """Let what was found at source be found at a path where nothing is, too."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Closure:
    """Hold what a target needs.

    files: to be copied. missing: named but not there, or of use if it were. listed: folders of which any new
    member may matter. whole_root_reason: why everything is needed, "" where it isn't. meant: what is named
    behind a link, by where the copy has it or would have it.
    """

    files: frozenset[str] = frozenset()
    missing: frozenset[str] = frozenset()
    listed: frozenset[str] = frozenset()
    problems: tuple[Problem, ...] = ()
    whole_root_reason: str = ""
    meant: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class ClosureFinder:
    """Find closures; what a file names is kept as long as its text stays the same."""

    _known: dict[tuple[str, Callable[[str], Naming]], tuple[str, Naming]] = field(default_factory=dict)

    def find(self, target: str, disk: Disk, also: tuple[str, ...] = (), *, is_chart: bool = False) -> Closure:
        """List what a target needs. target: relative to the root, "." for the root. also: further files.

        is_chart: only helm renders it, so that a kustomization in its folder is a file like any other.
        """
        search = _Search(disk, self)
        try:
            search.start(_joined("", target) or "", also, is_chart=is_chart)
        except RecursionError:
            message = "its references lead through too many kustomizations"
            search.refuse(Problem(path=target, message=message, hint="reference bases more directly"))
        return search.result()

    def naming(self, path: str, disk: Disk, parse: Callable[[str], Naming]) -> Naming:
        """Read what a file names, or remember it."""
        text = disk.text(path)
        if text is None:
            return Naming()
        known = self._known.get((path, parse))
        if known is None or known[0] != text:
            known = self._known[path, parse] = (text, parse(text))
        return known[1]


class _Search:
    """Follow everything once."""

    def __init__(self, disk: Disk, finder: ClosureFinder) -> None:
        self._disk = disk
        self._finder = finder
        self._files: set[str] = set()
        self._missing: set[str] = set()
        self._listed: set[str] = set()
        self._seen: set[str] = set()
        self._charts: set[str] = set()
        self._problems: dict[Problem, None] = {}
        self._meant: dict[str, str] = {}
        self._reason = ""
        self._is_generated = False

    def result(self) -> Closure:
        """Hand out what was found."""
        return Closure(
            files=frozenset(self._files),
            missing=frozenset(self._missing),
            listed=frozenset(self._listed),
            problems=tuple(self._problems),
            whole_root_reason=self._reason,
            meant=self._meant,
        )

    def refuse(self, problem: Problem) -> None:
        """Report a problem with what was found."""
        self._problems[problem] = None

    def start(self, target: str, also: tuple[str, ...], *, is_chart: bool) -> None:
        """Follow a target, and take the whole root if its dependencies can't be determined."""
        if self._is_folder(target):
            if self._disk.look(_inside(target, CHART_FILE)) is not None:
                self._chart(target)
                if not is_chart:
                    self._follow(target)
            elif not self._follow(target):
                self._is_generated = True
                self._refuse_in_generated_place(_inside(target, KUSTOMIZATION_FILES[0]))
                self._walk(target, self._manifest)
        for path in also:
            self._need(path)
        if self._reason:
            self._walk("", self._need)

    def _refuse_in_generated_place(self, path: str) -> None:
        """Refuse a folder where Flux writes the kustomization of a target that has none."""
        found = self._disk.look(path)
        if found is not None and found.is_folder:
            message, hint = "this is a folder, and Flux needs a file of this name", "rename or remove it"
            self.refuse(Problem(path=path, message=message, hint=hint))

    def _is_folder(self, path: str) -> bool:
        found = self._disk.look(path)
        if found is None or not found.is_folder:
            self._missing.add(path)
            return False
        if found.problem is not None:
            self._problems[found.problem] = None
            return False
        return True

    def _need(self, path: str) -> bool:
        """Take a file; False where there is none."""
        found = self._disk.look(path)
        if found is None or found.is_folder:
            self._missing.add(path)
        elif found.problem is not None:
            self._problems[found.problem] = None
        else:
            self._files.add(path)
        return path in self._files

    def _follow(self, folder: str) -> bool:
        """Follow a folder's kustomization; False where it has none."""
        if folder in self._seen:
            return True
        found = [path for name in KUSTOMIZATION_FILES if self._need(path := _inside(folder, name))]
        if not found:
            return False
        self._seen.add(folder)
        for path in found:
            self._take(path, folder, self._finder.naming(path, self._disk, named_by_kustomization))
        return True

    def _take(self, path: str, folder: str, naming: Naming) -> None:
        """Follow what a file names. folder: what its paths are relative to."""
        for remark in naming.helm:
            problem = Problem(
                path=path,
                line=remark.line,
                message=f"{remark.key} needs helm, and Flux's kustomize runs none",
                hint="apply the chart with a HelmRelease, or commit what it renders to",
            )
            self._problems[problem] = None
        for reference in naming.references:
            self._reference(path, folder, reference)

    def _reference(self, source: str, folder: str, reference: Reference) -> None:
        is_inline = reference.role in (Role.PATCH, Role.PLUGIN) and is_written_out(reference.path)
        if is_inline:
            if reference.role is Role.PLUGIN:
                self._take(source, folder, _moved(named_by_plugins(reference.path), reference.line))
            return
        if len(reference.path) > PATH_MAX or reference.path.count("/") > DEPTH_MAX:
            message = f"{reference.key} names a path that is too long or too deep"
            self.refuse(Problem(path=source, line=reference.line, message=message))
            return
        path = self._resolved(source, folder, reference)
        found = self._disk.look(path) if path is not None else None
        if found is None and _REMOTE.search(reference.path):
            return
        if path is None:
            self._refuse_outside(source, reference)
        elif found is None or not found.is_folder:
            if self._need(path) and reference.role is Role.PLUGIN:
                self._take(path, folder, self._finder.naming(path, self._disk, named_by_plugins))
        elif reference.role is Role.FILE or reference.role is Role.PATCH:
            self._missing.add(path)
        elif self._is_folder(path):
            self._folder(path, reference)

    def _resolved(self, source: str, folder: str, reference: Reference) -> str | None:
        """Resolve a path as kustomize does, which follows links first; None where it is outside the root.

        A copy has no links: what is meant stands in where its path leads to in the copy.
        """
        if reference.path.startswith("/"):
            return None
        path, home = _joined(folder, reference.path), self._disk.led_to(folder)
        meant = path if home == folder else _joined(home, reference.path)
        if meant is None or meant == path:
            return meant
        if path is not None and self._is_in_place(path, meant):
            return path
        found = self._disk.look(meant)
        is_free = path is not None and self._disk.look(path) is None
        if path is not None and is_free:
            self._meant[path] = meant
        if found is None and is_free:
            return meant
        if found is not None and found.problem is None:
            if path is not None and is_free and not self._is_generated:
                self._disk.stand_in(path, meant)
            if path is not None and self._is_same(path, meant):
                return path
        shown = home or "the root"
        message = f"{reference.path} means {meant} behind the link to {shown}, and a copy has no links"
        hint = f"name {shown} itself where {folder} is named"
        self.refuse(Problem(path=source, line=reference.line, message=message, hint=hint))
        return meant

    def _is_in_place(self, path: str, meant: str) -> bool:
        """Report whether a path leads to the folder that is meant, so that the copy has what lies there."""
        folder = posixpath.dirname(path)
        is_there = self._disk.look(folder) is not None
        return is_there and self._disk.led_to(folder) == posixpath.dirname(meant)

    def _is_same(self, path: str, other: str) -> bool:
        both = self._disk.look(path), self._disk.look(other)
        return None not in both and self._disk.led_to(path) == self._disk.led_to(other)

    def _folder(self, path: str, reference: Reference) -> None:
        """Follow a folder that is named. As plugins, its objects name files from elsewhere.

        What changes them may let them name others.
        """
        self._follow(path)
        if reference.role is not Role.PLUGIN:
            return
        inner = _Search(self._disk, self._finder)
        inner._follow(path)
        for file in sorted(inner.result().files):
            if posixpath.basename(file) in KUSTOMIZATION_FILES:
                remarks = self._finder.naming(file, self._disk, named_by_kustomization).changing
            else:
                naming = self._finder.naming(file, self._disk, named_by_plugins)
                self._take(file, path, Naming(helm=naming.helm))
                remarks = tuple(Remark(one.key, one.line) for one in naming.references)
            for remark in remarks[:1]:
                reason = f"{file}:{remark.line} has {remark.key}, which may read any file"
                self._reason = self._reason or reason

    def _refuse_outside(self, source: str, reference: Reference) -> None:
        problem = Problem(
            path=source,
            line=reference.line,
            message=f"{reference.path} is outside the root",
            hint="copy it into the root, or name a wider --root",
        )
        self._problems[problem] = None

    def _manifest(self, path: str) -> None:
        if path.endswith(MANIFEST_SUFFIXES):
            self._need(path)

    def _walk(self, folder: str, take: Callable[[str], object]) -> None:
        """Take the files of a folder and below; as manifests, a kustomization stands for its folder."""
        self._listed.add(folder)
        for name in self._disk.names(folder):
            path = _inside(folder, name)
            found = self._disk.look(path)
            if found is None:
                continue
            if not found.is_folder:
                take(path)
            elif self._is_folder(path) and not (take == self._manifest and self._follow(path)):
                self._walk(path, take)

    def _chart(self, folder: str) -> None:
        """Take a chart with all its files, and the neighbouring charts that it depends on."""
        if folder in self._charts:
            return
        self._charts.add(folder)
        self._walk(folder, self._need)
        self._need(_inside(folder, _VALUES_FILE))
        built = set()
        for name in _CHART_FILES:
            path = _inside(folder, name)
            text = self._disk.text(path) if path in self._files else None
            for reference in chart_dependencies(text or ""):
                neighbour = _joined(folder, reference.path)
                if neighbour is None or reference.path.startswith("/"):
                    self._refuse_outside(path, reference)
                elif self._is_folder(neighbour):
                    built.add(reference.key)
                    self._chart(neighbour)
        self._need_vendored(_inside(folder, _VENDORED), built)

    def _need_vendored(self, folder: str, built: Collection[str]) -> None:
        """Note the packaged charts and folders of charts that are hidden: Helm loads all that lie there.

        built: the dependencies that Flux packages itself from folders of the root.
        """
        if self._disk.look(folder) is None:
            self._missing |= set() if built else {folder}
            return
        for name in self._disk.names(folder):
            path = _inside(folder, name)
            found = self._disk.look(path)
            is_built = any(name == one or name.startswith(f"{one}-") for one in built)
            if found is not None and found.is_folder and found.problem is None:
                self._need_vendored(_inside(path, _VENDORED), ())
            elif found is None and not is_built and not name.startswith((".", "_")):
                self._missing.add(path if name.endswith(".tgz") else _inside(path, CHART_FILE))


def _moved(naming: Naming, line: int) -> Naming:
    """Point what a written-out plugin says to the line that it begins at."""
    return Naming(
        references=tuple(replace(reference, line=line) for reference in naming.references),
        helm=tuple(replace(remark, line=line) for remark in naming.helm),
    )


def _inside(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _joined(folder: str, path: str) -> str | None:
    """Resolve a path from a folder; None where it is outside the root."""
    whole = posixpath.normpath(_inside(folder, path))
    if whole == ".." or whole.startswith("../"):
        return None
    return "" if whole == "." else whole
