"""A kubeconfig file: read once, and refused with its name and the place of what is wrong in it.

This module knows the parts of a kubeconfig that the kubernetes client needs, so that the client never meets a
file that it would refuse in words of its own. It never quotes the file: a line of it may hold a key. Source:
kubectl's clientcmd/api/v1, the client's KubeConfigLoader.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from gitops_run.errors import UsageError
from gitops_run.model.objects.identity import without_quotes
from gitops_run.model.text.yaml_limits import Loader

_ANOTHER: Final = "name another file: --kubeconfig FILE"
_SECTIONS: Final = {"clusters": "cluster", "contexts": "context", "users": "user"}
_NOBODY: Final = "(nobody)"
"""The user of a context that names none: the client needs one, and kubectl asks without credentials."""
_FILES: Final = ("certificate-authority", "client-certificate", "client-key", "tokenFile")
_DATA: Final = ("certificate-authority-data", "client-certificate-data", "client-key-data")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kubeconfig:
    """Hold a kubeconfig that could be read. current: "" where it names no current context.

    place: where each entry begins in the file, by section and name.
    """

    path: str
    document: Mapping[str, Any]
    contexts: Mapping[str, Mapping[str, Any]]
    current: str
    place: Mapping[tuple[str, str], str]

    @property
    def folder(self) -> Path:
        """Name the folder that paths in it are relative to."""
        return Path(self.path).absolute().parent

    def require(self, context: str) -> None:
        """Refuse a context that isn't there, or that nothing can be reached with. Raises UsageError."""
        if context not in self.contexts:
            raise UsageError(
                f"there is no context {context!r}; {self.path} has {self._listed()}",
                hint="name one of them: --context NAME; or another file: --kubeconfig FILE",
            )
        cluster = str(self.contexts[context].get("cluster", ""))
        user = str(self.contexts[context].get("user", ""))
        reached = self._entry("clusters", context, cluster)
        if not isinstance(reached.get("server"), str):
            raise self._wrong("clusters", cluster, "has no server")
        self._refuse_unreadable("clusters", cluster, reached)
        if user != _NOBODY:
            self._refuse_unreadable("users", user, self._entry("users", context, user))

    def no_cluster_named(self) -> UsageError:
        """Make the error of a command without a context."""
        return UsageError(
            f"no cluster was named; {self.path} has {self._listed()}", hint="name one: --context NAME"
        )

    def _listed(self) -> str:
        if not self.contexts:
            return "no contexts"
        word = "the context" if len(self.contexts) == 1 else "the contexts"
        return f"{word} {', '.join(self.contexts)}"

    def _entry(self, section: str, context: str, name: str) -> Mapping[str, Any]:
        """Find what a context names. Raises UsageError where it isn't there."""
        key = _SECTIONS[section]
        for entry in self.document[section]:
            if entry["name"] == name:
                found: Mapping[str, Any] = entry[key]
                return found
        named = f"names the {key} {name!r}, and {section} has no such entry" if name else f"names no {key}"
        raise self._wrong("contexts", context, named)

    def unusable(self, context: str) -> UsageError:
        """Make the error of a context that the client refuses for a reason that was not foreseen."""
        return self._wrong("contexts", context, "can't be used: its user or its cluster is not complete")

    def _refuse_unreadable(self, section: str, name: str, values: Mapping[str, Any]) -> None:
        for key in _FILES:
            file = values.get(key)
            if file and not values.get(f"{key}-data") and not (self.folder / str(file)).is_file():
                raise self._wrong(section, name, f"names {key} {file}, and there is no such file")
        for key in _DATA:
            try:
                base64.b64decode("".join(str(values.get(key) or "").split()), validate=True)
            except (binascii.Error, ValueError):
                raise self._wrong(section, name, f"has {key} that is not base64") from None

    def _wrong(self, section: str, name: str, what: str) -> UsageError:
        return UsageError(
            f"{self.path}{self.place.get((section, name), '')}: entry {name!r} of {section} {what}",
            hint=f"correct that entry, or {_ANOTHER}",
        )


def read_kubeconfig(path: str) -> Kubeconfig:
    """Read a kubeconfig. Raises UsageError with the file and the place in it that is wrong."""
    node, document = _parsed(path, _text(path))
    if node is None or _is_null(node):
        raise UsageError(f"the kubeconfig {path} is empty: it names no cluster", hint=_ANOTHER)
    if not isinstance(node, yaml.MappingNode):
        raise _no_kubeconfig(path, node, "it must be a mapping with clusters, contexts and users")
    place = _places(path, node)
    document |= {section: _entries(document.get(section), key) for section, key in _SECTIONS.items()}
    document["users"].append({"name": _NOBODY, "user": {}})
    contexts = {entry["name"]: entry["context"] for entry in document["contexts"]}
    current = str(document.get("current-context") or "")
    return Kubeconfig(path=path, document=document, contexts=contexts, current=current, place=place)


def _entries(entries: Any, key: str) -> list[dict[str, Any]]:
    """Write names as text: YAML reads some of them as numbers, and kubectl takes those too."""
    found = []
    for entry in entries or ():
        value = entry.get(key)
        values = dict(value) if isinstance(value, dict) else {}
        if key == "context":
            values["cluster"] = str(values.get("cluster") or "")
            values["user"] = str(values.get("user") or _NOBODY)
        found.append({**entry, "name": str(entry["name"]), key: values})
    return found


def _text(path: str) -> str:
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        raise UsageError(f"there is no kubeconfig at {path}", hint="name one: --kubeconfig FILE") from None
    except OSError as error:
        raise UsageError(f"the kubeconfig {path} can't be read: {error.strerror}", hint=_ANOTHER) from error
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        column = error.start - content.rfind(b"\n", 0, error.start)
        raise UsageError(
            f"{path}, line {line}, column {column}: the kubeconfig is not UTF-8 text", hint=_ANOTHER
        ) from None


def _parsed(path: str, text: str) -> tuple[yaml.Node | None, dict[str, Any]]:
    """Parse the file into nodes, which know where they stand, and into values where it is a mapping."""
    try:
        loader = Loader(text)
        node = loader.get_single_node()
        return node, loader.construct_document(node) if isinstance(node, yaml.MappingNode) else {}
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        if mark is None:  # a character that YAML doesn't allow: its error has the position alone
            position = int(getattr(error, "position", 0))
            line, column = text.count("\n", 0, position) + 1, position - text.rfind("\n", 0, position)
        else:
            line, column = mark.line + 1, mark.column + 1
        problem = without_quotes(str(getattr(error, "problem", None) or "this character isn't allowed"))
        # Not from the error: its text has the line, and a traceback would show it.
        raise UsageError(
            f"{path}, line {line}, column {column}: the kubeconfig is not valid YAML: {problem}",
            hint=f"correct that line, or {_ANOTHER}",
        ) from None


def _places(path: str, node: yaml.MappingNode) -> dict[tuple[str, str], str]:
    """Note where each entry begins. Raises UsageError on sections that are no lists of named entries."""
    found: dict[tuple[str, str], str] = {}
    for key, value in node.value:
        section = str(key.value)
        if section not in _SECTIONS or _is_null(value):
            continue
        if not isinstance(value, yaml.SequenceNode):
            raise _no_kubeconfig(path, value, f"{section} must be a list")
        for entry in value.value:
            pairs = entry.value if isinstance(entry, yaml.MappingNode) else ()
            name = next((of.value for at, of in pairs if at.value == "name" and not _is_null(of)), None)
            if not isinstance(name, str):
                raise _no_kubeconfig(path, entry, f"an entry of {section} has no name")
            if (section, name) in found:
                raise _no_kubeconfig(path, entry, f"{section} has two entries of the name {name!r}")
            found[section, name] = _at(entry)
    return found


def _is_null(node: yaml.Node) -> bool:
    return node.tag == "tag:yaml.org,2002:null"


def _no_kubeconfig(path: str, node: yaml.Node, what: str) -> UsageError:
    return UsageError(f"{path}{_at(node)}: this is not a kubeconfig: {what}", hint=_ANOTHER)


def _at(node: yaml.Node) -> str:
    return f", line {node.start_mark.line + 1}, column {node.start_mark.column + 1}"
