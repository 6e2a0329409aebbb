"""Values files are refused where source-controller can't write them into the chart."""

from __future__ import annotations

import pytest

from gitops_run.model.charts.values import unwritable

WRONG = 'a: x\ndeep:\n  b: "\\x7F"\n'


@pytest.mark.parametrize(
    "text", [WRONG, 'a: 1\nb: 2\n"\\x9f": c\n', 'a:\n- b\n- "\\uFFFE"\n', 'a: "\\x85"\nb:\n- c: "\\x80"\n']
)
def test_a_control_character_that_json_keeps_and_yaml_refuses_is_found_with_its_line(text: str) -> None:
    problem = unwritable([("values.yaml", text), ("dev.yaml", "c: d\n")])
    assert problem is not None
    assert problem.path == "values.yaml"
    assert problem.line in (3, 4)


@pytest.mark.parametrize(
    "files",
    [
        [WRONG, "deep: {b: y}\n"],
        [WRONG, "deep: text\n"],
        ['a: "\\x01\\t\\x85\\u2028\\xE9\\U0001F680"\n'],
        [WRONG, "a: ["],
        ["- a\n", ""],
    ],
)
def test_values_that_flux_can_write_or_that_helm_refuses_are_no_finding(files: list[str]) -> None:
    assert unwritable([(f"{number}.yaml", text) for number, text in enumerate(files)]) is None
