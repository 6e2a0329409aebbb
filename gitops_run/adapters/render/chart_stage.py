"""The chart that source-controller would package, laid out in a folder of links.

The snapshot's own files stay as they are: they are what is uploaded.
"""

from __future__ import annotations

import posixpath
import re
import shutil
import tarfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Final

import yaml

from gitops_run.adapters.render.kubectl import disk_errors
from gitops_run.model.charts.build import (
    VALUES_FILE,
    LocalDependency,
    NotRenderableError,
    RemoteDependency,
    aliases,
    as_packaged,
    chart_name,
    missing_dependencies,
    remote_dependencies,
    with_version,
)
from gitops_run.model.charts.unknowns import asking_for_given_kinds, given_kinds
from gitops_run.model.flux.helm_release import CHART_FILE
from gitops_run.model.text import go_yaml
from gitops_run.model.text.go_yaml import UnreadableError
from gitops_run.model.text.problem import Problem
from gitops_run.model.tree.helm_ignore import HELM_IGNORE, HelmRules, helm_rules
from gitops_run.model.tree.kustomize import yaml_problem

STAGE: Final = "chart"
"""The folder within a renderer's own."""
_DECLARATIONS: Final = (CHART_FILE, "Chart.lock", "requirements.yaml", "requirements.lock")
PACKAGES: Final = (".tgz", ".tar.gz")
ARCHIVE_BYTES_MAX: Final = 16 * 1024 * 1024
"""How much of a packed dependency is searched for what its templates use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedChart:
    """Hold where a chart is laid out. added: the dependencies that were put into it, and where they lie."""

    folder: Path
    added: Mapping[str, str] = field(default_factory=dict)

    def origin(self, path: str, target: str) -> str:
        """Name the file of the root that a path stands for as helm writes it: by the names of charts."""
        inner = path if target == "." else path.removeprefix(f"{target}/")
        return _origin(self.folder, target, inner, self.added)


def lay_out(
    root: Path, target: str, work: Path, version: str, *, has_values_files: bool
) -> StagedChart | Problem:
    """Lay out the chart at target as Flux packages it. work: where; what was there goes.

    has_values_files: they replace the chart's values, as in source-controller.
    Raises NotRenderableError where Flux fetches a dependency, TransientError where the disk refuses.
    """
    chart, folder = root / target, work / STAGE
    declaration = _path(target, CHART_FILE)
    declared = {name: _text(chart / name) for name in _DECLARATIONS}
    present = _present(chart / "charts")
    remotes = remote_dependencies(declared, present)
    for remote in remotes:
        if not remote.is_fetched:
            return _not_fetched(remote, declaration, declared[CHART_FILE])
    local = missing_dependencies(declared, present, target)
    for dependency in local:
        if not _is_within(root, dependency):
            return Problem(
                path=declaration,
                message=f"the dependency {dependency.name} is expected in {dependency.path}, but "
                "there is no chart",
                hint="correct its repository; Flux sees the files within the root only",
            )
    if has_values_files and not (chart / VALUES_FILE).is_file():
        return Problem(
            path=declaration,
            message="the chart has no values.yaml, and Flux needs one if a session names values files",
            hint=f"add an empty {_path(target, VALUES_FILE)}",
        )
    if has_values_files and (problem := _unreadable(_path(target, VALUES_FILE), _text(chart / VALUES_FILE))):
        return problem
    for remote in remotes:
        raise NotRenderableError(
            f"Flux fetches its dependency {remote.name} from {remote.repository}, so it can't be rendered "
            f"here; to check saves: helm dependency update {target}"
        )
    with disk_errors(work):
        _link(chart, folder, [(one.name, root / one.path) for one in local])
        _replace(folder / CHART_FILE, with_version(_text(chart / CHART_FILE), version))
        if has_values_files:
            _replace(folder / VALUES_FILE, "{}\n")
    return StagedChart(folder=folder, added={one.name: one.path for one in local})


def _not_fetched(dependency: RemoteDependency, path: str, text: str) -> Problem:
    """Refuse a chart without what Flux doesn't fetch either."""
    name = re.compile(rf"""\bname:\s*["']?{re.escape(dependency.name)}["']?\s*(?:[,}}#]|$)""")
    lines = (number for number, line in enumerate(text.splitlines(), 1) if name.search(line))
    return Problem(
        path=path,
        line=next(lines, None),
        message=f"the dependency {dependency.name} isn't in charts/: "
        f"Flux fetches none from {dependency.repository}",
        hint=f"fetch it: helm dependency update {posixpath.dirname(path) or '.'}",
    )


def _unreadable(path: str, text: str) -> Problem | None:
    """Refuse values that Flux can't read: it loads a chart's own before it puts others in their place."""
    try:
        values = go_yaml.read(text)
    except yaml.MarkedYAMLError as error:
        return yaml_problem(path, error, text)
    except UnreadableError as error:
        return Problem(path=path, line=error.line, message=f"Flux can't read these values: {error}")
    if values is not None and not isinstance(values, dict):
        return Problem(path=path, message="Flux can't read these values: they are not a mapping")
    return None


def give_kinds(folder: Path, api_versions: Iterable[str]) -> None:
    """Let the templates of a chart that is laid out ask for these kinds, those of packed dependencies too.

    Raises TransientError where the disk refuses.
    """
    with disk_errors(folder):
        for path in _templates(folder):
            text = _text(path)
            if (new := asking_for_given_kinds(text)) != text:
                _unlink_folders(folder, path)
                _replace(path, new)
        for path in _packages(folder):
            content = path.read_bytes()
            if (packed := _repacked(content)) != content:
                _unlink_folders(folder, path)
                path.unlink()
                path.write_bytes(packed)
        helper = folder / "templates" / "_gitops-run.tpl"
        helper.parent.mkdir(exist_ok=True)
        _unlink_folders(folder, helper)
        _replace(helper, given_kinds(api_versions))


def _repacked(content: bytes) -> bytes:
    """Rewrite the templates of a packed chart that ask for kinds.

    It stays packed: in a folder, the rules of the chart around it would count for its files.
    """
    try:
        files = [(name, old, _rewritten(name, old)) for name, old in _all_members(BytesIO(content))]
    except _BROKEN:
        return content
    if all(new == old for _, old, new in files):
        return content
    written = BytesIO()
    with tarfile.open(fileobj=written, mode="w:gz") as archive:
        for name, _, new in files:
            entry = tarfile.TarInfo(name)
            entry.size = len(new)
            archive.addfile(entry, BytesIO(new))
    return written.getvalue()


def _rewritten(name: str, content: bytes) -> bytes:
    folders = name.split("/")[:-1]
    if "templates" in folders:
        text = content.decode("utf-8", "replace")
        new = asking_for_given_kinds(text)
        return content if new == text else new.encode()
    return _repacked(content) if folders[-1:] == ["charts"] and name.endswith(PACKAGES) else content


def package(folder: Path) -> bool:
    """Write each Chart.yaml of a chart that is laid out as packaging leaves it, its dependencies' too.

    Those of packed charts stay. Returns whether any changed. Raises TransientError where the disk refuses.
    """
    is_changed = False
    with disk_errors(folder):
        for path in _chart_files(folder):
            text = _text(path)
            if (new := as_packaged(text)) != text:
                _unlink_folders(folder, path)
                _replace(path, new)
                is_changed = True
    return is_changed


def _chart_files(folder: Path) -> Iterator[Path]:
    """Yield the Chart.yaml of a chart, and those of the charts in its charts/."""
    if (folder / CHART_FILE).is_file():
        yield folder / CHART_FILE
        for inner in sorted((folder / "charts").iterdir()) if (folder / "charts").is_dir() else ():
            yield from _chart_files(inner)


def _packages(folder: Path) -> list[Path]:
    return [path for path in _walk(folder) if path.parent.name == "charts" and path.name.endswith(PACKAGES)]


def _unlink_folders(folder: Path, path: Path) -> None:
    """Turn the links to folders above a file into folders of links, so that the file can be another one."""
    for parent in reversed(path.relative_to(folder).parents):
        linked = folder / parent
        if linked.is_symlink():
            source = linked.resolve()
            linked.unlink()
            linked.mkdir()
            for entry in source.iterdir():
                (linked / entry.name).symlink_to(entry)


def template_texts(folder: Path) -> dict[str, str]:
    """Read the templates of a chart and its dependencies, by their paths in the chart."""
    texts = {path.relative_to(folder).as_posix(): _text(path) for path in _templates(folder)}
    for path in _packages(folder):
        within = path.relative_to(folder).as_posix()
        texts.update({f"{within}/{name}": text for name, text in _packed(path) if "templates/" in name})
    return texts


def _templates(folder: Path) -> list[Path]:
    return [path for path in _walk(folder) if "templates" in path.relative_to(folder).parts[:-1]]


def _walk(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder, through links: a snapshot has none of its own."""
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            yield from _walk(path)
        else:
            yield path


def _link(chart: Path, folder: Path, local: list[tuple[str, Path]]) -> None:
    """Link a chart. Without dependencies to put into it, Helm reads its rules of what to ignore itself.

    Those rules do not count for the dependencies, which have their own: source-controller loads each alone.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if not local:
        for entry in chart.iterdir():
            (folder / entry.name).symlink_to(entry.absolute())
        return
    _link_visible(chart, folder, helm_rules(_text(chart / HELM_IGNORE)))
    (folder / "charts").mkdir(exist_ok=True)
    for name, path in local:
        link = folder / "charts" / (f"{name}.tgz" if path.is_file() else name)
        if link.exists():
            continue
        if path.is_file():
            link.symlink_to(path.absolute())
        else:
            _link_visible(path, link, helm_rules(_text(path / HELM_IGNORE)))


def _link_visible(source: Path, folder: Path, rules: HelmRules, prefix: str = "") -> None:
    folder.mkdir(exist_ok=True)
    for entry in source.iterdir():
        path, is_dir = f"{prefix}{entry.name}", entry.is_dir()
        if path == HELM_IGNORE or rules.hides(path, is_dir=is_dir):
            continue
        if is_dir:
            _link_visible(entry, folder / entry.name, rules, f"{path}/")
        else:
            (folder / entry.name).symlink_to(entry.absolute())


def _replace(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    path.write_text(text, encoding="utf-8", newline="")


def _present(charts: Path) -> list[str]:
    """List the names of the charts in a charts/ folder, as Helm's loader finds them."""
    found = sorted(charts.iterdir()) if charts.is_dir() else ()
    return [name for entry in found for name in _names(entry)]


def _names(entry: Path) -> list[str]:
    """List the names of the charts that an entry of a charts/ folder holds."""
    if entry.name.startswith(("_", ".")):
        return []
    if entry.is_dir():
        return [chart_name(_text(entry / CHART_FILE))] if (entry / CHART_FILE).is_file() else []
    if not entry.name.endswith(PACKAGES):
        return []
    return [
        chart_name(text)
        for name, text in _packed(entry)
        if name.count("/") == 1 and name.endswith(f"/{CHART_FILE}")
    ]


def _origin(folder: Path, place: str, path: str, added: Mapping[str, str]) -> str:
    """Follow a path through the dependencies of a chart; within a packed one it ends at the package."""
    parts = path.split("/", 2)
    charts = folder / "charts"
    if len(parts) < 3 or parts[0] != "charts" or not charts.is_dir():
        return _path(place, path)
    wanted = aliases(_text(folder / CHART_FILE)).get(parts[1], parts[1])
    entry = next((one for one in sorted(charts.iterdir()) if wanted in _names(one)), None)
    if entry is None:
        return _path(place, path)
    own = added.get(entry.name.removesuffix(".tgz"), _path(place, f"charts/{entry.name}"))
    return _origin(entry, own, parts[2], {}) if entry.is_dir() else own


def _packed(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the files of a packed chart as text."""
    with path.open("rb") as content:
        for name, found in _members(content):
            yield name, found.decode("utf-8", "replace")


def _members(packed: BinaryIO) -> Iterator[tuple[str, bytes]]:
    """Yield the files of a packed chart; of one that can't be read those before, and helm says why."""
    with suppress(*_BROKEN):
        yield from _all_members(packed)


def _all_members(packed: BinaryIO) -> Iterator[tuple[str, bytes]]:
    """Yield the files of a packed chart. Raises one of _BROKEN where it can't be read, or is too large."""
    left = ARCHIVE_BYTES_MAX
    with tarfile.open(fileobj=packed) as archive:
        for member in archive:
            left -= member.size
            if left < 0:
                raise tarfile.TarError("too large")
            if member.isfile() and (content := archive.extractfile(member)) is not None:
                yield member.name, content.read()


_BROKEN: Final = (tarfile.TarError, OSError, EOFError, zlib.error)


def _is_within(root: Path, dependency: LocalDependency) -> bool:
    if dependency.path.startswith("..") or dependency.path.startswith("/"):
        return False
    path = root / dependency.path
    return path.is_file() or (path / CHART_FILE).is_file()


def _text(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "replace") if path.is_file() else ""


def _path(target: str, name: str) -> str:
    return name if target == "." else f"{target}/{name}"
