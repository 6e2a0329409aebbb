"""Variables as Flux substitutes them; the table's results were read off fluxcd/pkg's own tests and code."""

from __future__ import annotations

import pytest

from gitops_run.model.objects.substitution import NotEvaluable, SubstitutionError, Variables, substitute

GIVEN = Variables(values={"name": "web", "empty": "", "lines": "a\nb"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no variables", "no variables"),
        ("a ${name} b", "a web b"),
        ("${name}${name}", "webweb"),
        ("$name $(name) $1", "$name $(name) $1"),
        ("$${name}", "${name}"),
        ("$$ and $$$${name}", "$ and $${name}"),
        ("$$${name}", "$web"),
        ("${none:-default}", "default"),
        ("${none:=default}", "default"),
        ("${none=default}", "default"),
        ("${none:-}", ""),
        ("${empty}", ""),
        ("${empty:-default}", "default"),
        ("${name:-default}", "web"),
        ("${none:-a-${name}-b}", "a-web-b"),
        ("${lines}", "ab"),
        ("ends with $", "ends with $"),
    ],
)
def test_a_variable_is_replaced_as_flux_does(text: str, expected: str) -> None:
    assert substitute(text, GIVEN) == expected


@pytest.mark.parametrize("text", ["${none}", "${none^^}", "${name:-${none}}"])
def test_a_variable_without_value_and_default_fails_the_build(text: str) -> None:
    with pytest.raises(SubstitutionError, match="variable none is not set"):
        substitute(text, GIVEN)


@pytest.mark.parametrize("text", ["${}", "${ name }", "${name", "${name-default}", "${name:-x", "${a.b}"])
def test_what_is_no_variable_fails_the_build(text: str) -> None:
    with pytest.raises(SubstitutionError, match="is not a variable"):
        substitute(text, GIVEN)


@pytest.mark.parametrize("text", ["${name^^}", "${name:0:1}", "${#name}", "${name/a/b}", "${name%b}"])
def test_a_function_is_left_to_flux(text: str) -> None:
    with pytest.raises(NotEvaluable):
        substitute(text, GIVEN)


@pytest.mark.parametrize("text", ["${none}", "${none:-default}"])
def test_a_variable_that_may_come_from_elsewhere_is_left_to_flux(text: str) -> None:
    foreign = Variables(values={"name": "web"}, has_foreign=True)
    assert substitute("${name}", foreign) == "web"
    with pytest.raises(NotEvaluable, match="only Flux knows"):
        substitute(text, foreign)


def test_variables_that_nest_without_an_end_are_refused() -> None:
    with pytest.raises(SubstitutionError, match="nest too deeply"):
        substitute("${a:=" * 10_000 + "}" * 10_000, Variables(values={"b": "c"}))


def test_variables_that_come_to_too_much_are_refused() -> None:
    with pytest.raises(SubstitutionError, match="expand to more than 8 MiB"):
        substitute("${a}" * 10_000, Variables(values={"a": "x" * 2**20}))
