"""YAML as people write it: styles, scalars of YAML 1.1 and 1.2, equal keys, anchors, comments, line ends.

Knows text and nothing of what it means to Kubernetes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml
from hypothesis import strategies as st

Draw = Any
"""What hypothesis gives a composite strategy."""


class Plain(str):
    """A scalar that is written without quotes, whatever a reader takes it for."""

    __slots__ = ()


class Pairs(list[tuple[Any, Any]]):
    """A mapping in which a key may be there twice."""


class _Dumper(yaml.SafeDumper):
    """Write plain scalars and pairs as they are."""


def _plain(dumper: yaml.SafeDumper, value: Plain) -> yaml.Node:
    tag: str = dumper.resolve(yaml.ScalarNode, str(value), (True, False))  # type: ignore[no-untyped-call]
    return dumper.represent_scalar(tag, str(value))


def _pairs(dumper: yaml.SafeDumper, value: Pairs) -> yaml.Node:
    nodes = [(dumper.represent_data(key), dumper.represent_data(one)) for key, one in value]
    return yaml.MappingNode("tag:yaml.org,2002:map", nodes)


_Dumper.add_representer(Plain, _plain)
_Dumper.add_representer(Pairs, _pairs)


def to_yaml(value: Any, *, flow: bool | None = False) -> str:
    """Write a value. flow: braces everywhere, nowhere, or (None) around what holds scalars alone."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, default_flow_style=flow, allow_unicode=True)


PLAIN = (
    *("y", "Y", "yes", "on", "Off", "n", "true", "True", "~", "null", "Null", "012", "0o14", "0x1F", "0b11"),
    *("1_000", "1e3", "1E+3", ".5", "5.", "1.10", "-0", "+1", "0", "08", "190:20:30", "12:30:45", ".inf"),
    *(
        "2001-01-01",
        "2001-12-14t21:59:43Z",
        "=",
        "<<",
        "a b",
        "-a",
        "x#y",
        "%a",
        "a:b",
        "9223372036854775808",
    ),
)
"""Texts that Go and others read as different things without quotes."""

QUOTED = (
    *(
        "",
        "y",
        "no",
        "0o444",
        "1e3",
        "null",
        "2001-01-01",
        "x: y",
        "# no comment",
        "line\nline\n",
        "  moved in",
    ),
    *("tab\there", "ünï", "😀", "'", '"', "a\\b", "{}", "[a]", "*a", "&a", "!a", "- a", "%a", "@a", "--- x"),
    *("trailing ", "\n", "a\n\n b\n", "long " * 40, "\u2028", "\x7f", "${", "$(X)", "---\na: b"),
)
"""Texts that have to be quoted, or that look like something else."""


_STRINGS = st.one_of(st.sampled_from(("v", "w", "five")), st.sampled_from(QUOTED))
_SCALARS = st.one_of(
    st.sampled_from(("v", "w", "5")),
    st.sampled_from(QUOTED),
    st.sampled_from(PLAIN).map(Plain),
    st.sampled_from((True, False, 0, 5, -1, 1.5, None)),
)


def scalars() -> st.SearchStrategy[Any]:
    """Make values for a field that takes any text."""
    return _SCALARS


def strings() -> st.SearchStrategy[str]:
    """Make values that are text to every reader."""
    return _STRINGS


@st.composite
def written(draw: Draw, documents: Sequence[Any], *, is_odd: bool = True) -> str:
    """Write documents in one of the styles that people use. is_odd: with empty documents, too."""
    flow = draw(st.sampled_from((False, False, False, None, True)))
    texts = [to_yaml(document, flow=flow) for document in documents]
    separator = draw(st.sampled_from(("---\n", "---\n", "--- \n", "---\n---\n", "---\n# a comment\n---\n")))
    text = separator.join(texts)
    return str(draw(st.sampled_from(_DRESSES if is_odd else _DRESSES[:-1]))(text))


_DRESSES = (
    lambda text: text,
    lambda text: text,
    lambda text: text,
    lambda text: text.replace("\n", "\r\n"),
    lambda text: "\ufeff" + text,
    lambda text: "# a comment\n" + text,
    lambda text: "---\n" + text,
    lambda text: text + "---\n",
    lambda text: text + "...\n",
    lambda text: text.rstrip("\n"),
    lambda text: "\n\n" + text + "\n\n",
    lambda text: "---\n# nothing\n---\n" + text,
)
"""What may stand around documents, and how their lines may end."""
