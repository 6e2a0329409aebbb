"""Variables in rendered objects, replaced as Flux's post-build substitution does.

This module knows ${NAME}, ${NAME:-default} and its kin, nested ones, and the escape $${NAME}. It doesn't
evaluate the string functions (${NAME^^} and others): it says so, and their object is not checked.
Source: fluxcd/pkg envsubst 1.7 and kustomize 1.35, kustomize_varsub.go; strict since Flux 2.9.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

DISABLED_MARK = "kustomize.toolkit.fluxcd.io/substitute"
"""The label or annotation that with the value "disabled" keeps an object as it is."""
SUBSTITUTED_MAX: Final = 8 * 1024 * 1024
"""Characters that variables may put into one object. The API server takes objects of 3 MiB."""
_NAME = re.compile(r"\w+")
_DEFAULTS = (":-", ":=", ":?", ":+", "=")
"""Operators with which an unset or empty variable is its default; Flux treats them all alike."""
_FUNCTIONS = (":", ",", "^", "/", "#", "%")


class SubstitutionError(ValueError):
    """Report what Flux's build would fail on. token: the text to look for in the source."""

    def __init__(self, message: str, token: str) -> None:
        super().__init__(message)
        self.token = token


class NotEvaluable(Exception):
    """Report what only Flux can evaluate: the text says what and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variables:
    """Hold what may be substituted. has_foreign: whether there are others, that only Flux can read."""

    values: Mapping[str, str] = field(repr=False)
    has_foreign: bool = False

    @property
    def is_used(self) -> bool:
        """Report whether Flux substitutes at all: without any variable it leaves objects as they are."""
        return bool(self.values) or self.has_foreign


def substitute(text: str, variables: Variables) -> str:
    """Replace the variables in one object's YAML.

    Raises SubstitutionError on what fails Flux's build, NotEvaluable on what only Flux knows.
    """
    if "$" not in text:
        return text
    try:
        return "".join(_Reader(text, variables).pieces())
    except RecursionError as error:
        raise SubstitutionError("its variables nest too deeply", "${") from error


class _Reader:
    def __init__(self, text: str, variables: Variables) -> None:
        self._text = text
        self._variables = variables
        self._at = 0
        self._substituted = 0

    def pieces(self) -> Iterator[str]:
        """Yield the text, with what stands in a variable's place."""
        while True:
            dollar = self._text.find("$", self._at)
            if dollar < 0:
                yield self._text[self._at :]
                return
            yield self._text[self._at : dollar]
            self._at = dollar
            if self._takes("${"):
                yield self._variable(dollar)
            else:
                self._at += 2 if self._text.startswith("$$", dollar) else 1
                yield "$"

    def _takes(self, token: str) -> bool:
        if self._text.startswith(token, self._at):
            self._at += len(token)
            return True
        return False

    def _variable(self, start: int) -> str:
        found = _NAME.match(self._text, self._at)
        if found is None:
            if self._text.startswith("#", self._at):
                raise NotEvaluable("it uses the function ${#…}, which only Flux evaluates")
            raise self._malformed(start)
        self._at = found.end()
        name = found.group()
        if self._takes("}"):
            return self._value(name)
        operator = next((one for one in _DEFAULTS if self._takes(one)), "")
        if operator:
            default = "".join(self._default(start))
            return self._value(name, default=default)
        if self._text.startswith(_FUNCTIONS, self._at):
            self._value(name)
            raise NotEvaluable(f"it uses a function of ${{{name}}}, which only Flux evaluates")
        raise self._malformed(start)

    def _default(self, start: int) -> Iterator[str]:
        """Yield the parts of a default up to its closing brace; no escapes count in it."""
        while not self._takes("}"):
            nested = self._at
            if self._takes("${"):
                yield self._variable(nested)
                continue
            end = re.compile(r"\}|\$\{").search(self._text, self._at)
            if end is None:
                raise self._malformed(start)
            yield self._text[self._at : end.start()]
            self._at = end.start()

    def _value(self, name: str, *, default: str | None = None) -> str:
        if name in self._variables.values:
            value = self._variables.values[name].replace("\n", "")
            self._substituted += len(value)
            if self._substituted > SUBSTITUTED_MAX:
                message = f"its variables expand to more than {SUBSTITUTED_MAX // 2**20} MiB"
                raise SubstitutionError(message, f"${{{name}")
            return value or default or ""
        if self._variables.has_foreign:
            raise NotEvaluable(f"only Flux knows whether ${{{name}}} is in what it substitutes from")
        if default is None:
            raise SubstitutionError(f"variable {name} is not set, and has no default", f"${{{name}")
        return default

    def _malformed(self, start: int) -> SubstitutionError:
        line = self._text[start:].partition("\n")[0]
        end = line.find("}")
        token = line[: end + 1] if end > 0 else line[:20]
        return SubstitutionError(f"{token} is not a variable that Flux can substitute", token)
