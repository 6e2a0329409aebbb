"""What helm reports about a chart that it can't render, as a problem with file and line."""

from __future__ import annotations

import re

from gitops_run.model.flux.helm_release import CHART_FILE
from gitops_run.model.text.problem import Problem

_PLACE = re.compile(r"(?<![\w./-])/*+([\w.-]++/[\w./-]++):(\d+)")
"""It begins where a path does and gives nothing back: else its time grows with the square of the length."""
_AT = re.compile(r"error at \([^)]*\): (.*)", re.DOTALL)
_RENDERED = re.compile(r"YAML parse error on ([^:]+): (.*)", re.DOTALL)
_LOADED = re.compile(r"(cannot load|failed to parse) (\S+?\.yaml): (.*)", re.DOTALL)
_LINE = re.compile(r"yaml: line (\d+)")
_WRAPPING = "error converting YAML to JSON: "


def explain_failure(message: str, *, folder: str, target: str) -> Problem:
    """Turn what helm wrote on standard error into one problem with file and line.

    folder: the absolute folder that the chart was rendered from; it is taken out of the message.
    """
    lines = [line for line in message.splitlines() if not line.startswith(("level=", "WARNING"))]
    text = "\n".join(lines).replace(f"{folder}/", "").replace(folder, ".").strip()
    text = text.removeprefix("Error: ").partition("\n\nUse --debug")[0].strip()
    if rendered := _RENDERED.search(text):
        inner = rendered[2].removeprefix(_WRAPPING)
        path = _of_chart(rendered[1], target)
        return Problem(path=path, message=f"the rendered output is not valid YAML: {inner}")
    if loaded := _LOADED.search(text):
        inner = loaded[3].rpartition(_WRAPPING)[2]
        path = in_target(target, loaded[2]) if loaded[1] == "cannot load" else loaded[2]
        stated = _LINE.search(inner)
        return Problem(path=path, line=int(stated[1]) if stated else None, message=f"not valid YAML: {inner}")
    if places := [place for place in _PLACE.findall(text) if _is_template(place[0])]:
        path, line = places[-1]
        at = _AT.search(text)
        inner = at[1] if at else text.splitlines()[-1]
        return Problem(path=_of_chart(path, target), line=int(line), message=inner.strip())
    return Problem(path=in_target(target, CHART_FILE), message=text or "helm failed")


def _is_template(path: str) -> bool:
    """Report whether a path, which begins with the chart's name, leads to a file of a templates folder."""
    return "templates/" in path.partition("/")[2][:-1]


def _of_chart(path: str, target: str) -> str:
    """Turn helm's path, which begins with the chart's name, into one within the root."""
    return in_target(target, path.partition("/")[2])


def in_target(target: str, path: str) -> str:
    """Turn a path within the target into one within the root."""
    return path if target == "." else f"{target}/{path}"
