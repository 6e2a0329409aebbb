"""A field is taken out of an object by the path with which the API server names it."""

from __future__ import annotations

from typing import Any

import pytest

from gitops_run.model.text.field_paths import without_field

LIST = {"l": [{"name": "a", "x": 1}, {"name": "b", "x": 1}]}
ONE_LEFT = {"l": [{"name": "a", "x": 1}, {"name": "b"}]}
UDP = {"port": 53, "protocol": "UDP"}


@pytest.mark.parametrize(
    ("body", "path", "left"),
    [
        ({"foo": 1, "kind": "A"}, "foo", {"kind": "A"}),
        ({"spec": {"foo.bar": 1, "foo": {}}}, "spec.foo.bar", {"spec": {"foo": {}}}),
        ({"spec": {"foo": {"bar": 1}, "foo.b": 2}}, "spec.foo.bar", {"spec": {"foo": {}, "foo.b": 2}}),
        (LIST, 'l[name="b"].x', ONE_LEFT),
        (LIST, "l[1].x", ONE_LEFT),
        ({"l": [{"on": True, "x": 1}]}, "l[on=true].x", {"l": [{"on": True}]}),
        ({"a": [{"b": [{"n": "c", "x": 1}]}]}, 'a[0].b[n="c"].x', {"a": [{"b": [{"n": "c"}]}]}),
        ({"l": [{"port": 53}, {**UDP, "x": 1}]}, 'l[port=53,protocol="UDP"].x', {"l": [{"port": 53}, UDP]}),
    ],
)
def test_a_field_is_taken_out_and_nothing_else(body: Any, path: str, left: Any) -> None:
    assert without_field(body, path) == left


@pytest.mark.parametrize("path", ["b", "a.b", "l[2].x", 'l[name="c"].x', "l.name", "l[0].y"])
def test_an_object_without_the_field_is_returned_as_it_is(path: str) -> None:
    body = {"a": 1, **LIST}
    assert without_field(body, path) is body
