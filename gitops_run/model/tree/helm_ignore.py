"""What a chart's .helmignore hides from Helm.

This module knows Helm's order of rules: the first that matches hides, and a negated one hides all that it
does not match.
Source: helm 4, pkg/ignore/rules.go.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gitops_run.model.tree.wildmatch import Pattern, parse_pattern

HELM_IGNORE: Final = ".helmignore"
_DEFAULT: Final = "templates/.?*"


@dataclass(frozen=True, slots=True)
class HelmRules:
    """Hold the rules of one chart."""

    patterns: tuple[Pattern, ...]

    def hides(self, path: str, *, is_dir: bool) -> bool:
        """Report whether Helm passes over a path, relative to the chart."""
        raw = path.encode("utf-8", "surrogateescape")
        return any(one.matches(raw, is_dir=is_dir) != one.is_negative for one in self.patterns)


def helm_rules(text: str) -> HelmRules:
    """Read a .helmignore."""
    lines = (line.strip() for line in (*text.removeprefix("\ufeff").splitlines(), _DEFAULT))
    found = (parse_pattern(line) for line in lines)
    return HelmRules(tuple(pattern for pattern in found if pattern is not None))
