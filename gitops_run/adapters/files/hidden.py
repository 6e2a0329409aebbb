"""What a target needs, or seems to need, and ignore rules hide."""

from __future__ import annotations

import os.path
from collections.abc import Iterator
from pathlib import Path

from gitops_run.adapters.files.disk import RootDisk
from gitops_run.model.text.problem import Problem
from gitops_run.model.tree.closure import DEPTH_MAX, Closure
from gitops_run.model.tree.ignore import Rule
from gitops_run.model.tree.kustomize import KUSTOMIZATION_FILES


def hidden_needs(closure: Closure, disk: RootDisk, target: str) -> tuple[list[Problem], list[str]]:
    """Report what can't be left out, and remark what Flux leaves out, too."""
    problems, remarks = [], []
    for path, rule in _hidden_files(closure, disk, target):
        if _is_left_out_for_flux(path, rule, closure, target):
            remarks.append(f"{path}: {rule} hides this kustomization: its folder counts as manifests")
        else:
            problems.append(_hidden_need(path, rule))
    return problems, remarks


def _hidden_files(closure: Closure, disk: RootDisk, target: str) -> Iterator[tuple[str, Rule]]:
    """List files that are named and there, but ignored, with the rules. The target itself is not looked at.

    A kustomization goes by several names: it is missed only where its folder shows none of them.
    """
    for path in sorted(path for path in closure.missing - {target} if path.count("/") < DEPTH_MAX):
        folder, slash, name = path.rpartition("/")
        rule = disk.hidden.get(path) or disk.rules.hidden_by(path)
        if rule is None or not os.path.lexists(disk.real(path)):
            continue
        if name in KUSTOMIZATION_FILES:
            is_shown = any(f"{folder}{slash}{other}" in closure.files for other in KUSTOMIZATION_FILES)
            if is_shown or Path(disk.real(path)).is_dir():
                continue
        yield path, rule


def _is_left_out_for_flux(path: str, rule: Rule, closure: Closure, target: str) -> bool:
    """Report whether a rule for Flux hides a kustomization of a target that Flux adds one to.

    Nothing names it there, so Flux takes the manifests of its folder.
    """
    own = {f"{target}/{name}".removeprefix("/") for name in KUSTOMIZATION_FILES}
    is_kustomization = path.rpartition("/")[2] in KUSTOMIZATION_FILES
    return is_kustomization and not rule.is_of_git and not own & closure.files


def _hidden_need(path: str, rule: Rule) -> Problem:
    return Problem(
        path=path,
        message=f"the target needs this file, but an ignore rule hides it: {rule}",
        hint=f"change the rule, or include the file again with: !{path.rpartition('/')[2]}",
    )
