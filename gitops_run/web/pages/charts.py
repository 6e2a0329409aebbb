"""Charts as SVG, drawn here so that a browser needs no script for them and no style attributes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final

from htpy import Fragment, Renderable, div, fragment, g, line, path, rect, span, svg, title

from gitops_run.model.state.timings import percentile, steps, whole_ms
from gitops_run.model.text.amounts import duration

SPARK_VALUES: Final = 10
_SPARK_STEP: Final = 5
_SPARK_HEIGHT: Final = 12
_TREND_VALUES: Final = 60
_TREND_HEIGHT: Final = 64
_BAR: Final = 10
_WIDTH: Final = 600


def sparkline(values_ms: Sequence[int]) -> Renderable | None:
    """Draw how long the last saves took, on a scale of its own. None where that says nothing."""
    shown = values_ms[-SPARK_VALUES:]
    if len(shown) < 2:
        return None
    most = max(*shown, 1)
    heights = [_SPARK_HEIGHT - round(value * (_SPARK_HEIGHT - 1) / most) for value in shown]
    moves = [f"l{_SPARK_STEP} {after - before}" for before, after in pairwise(heights)]
    return svg(".spark", viewBox=f"0 0 {_SPARK_STEP * (SPARK_VALUES - 1)} 13", aria_hidden="true")[
        path(d=f"M0 {heights[0]}{''.join(moves)}".replace(" -", "-"))
    ]


def waterfall(times_ms: Mapping[str, int]) -> Renderable | None:
    """Draw a save's steps as one bar: which step took which part of it."""
    whole, found = whole_ms(times_ms), steps(times_ms)
    if not whole or not found:
        return None
    said = ", ".join(f"{step.name} {duration(step.took_ms)}" for step in found)
    return svg(
        ".waterfall", viewBox=f"0 0 {_WIDTH} 8", preserveAspectRatio="none", role="img", aria_label=said
    )[
        (
            rect(
                class_=f"step-{step.name}",
                x=str(round(step.began_ms * _WIDTH / whole)),
                y="0",
                width=str(max(round(step.took_ms * _WIDTH / whole), 1)),
                height="8",
            )
            for step in found
        )
    ]


def waterfall_rows(times_ms: Mapping[str, int]) -> Fragment:
    """Draw a save's steps below one another, each at its place in the whole, with its name and time."""
    whole = max(whole_ms(times_ms), 1)
    return fragment[
        (
            div(".fall")[
                span[step.name],
                svg(viewBox=f"0 0 {_WIDTH} {_BAR}", preserveAspectRatio="none", aria_hidden="true")[
                    line(x1="0", x2=str(_WIDTH), y1="5", y2="5"),
                    rect(
                        class_=f"step-{step.name}",
                        x=str(round(step.began_ms * _WIDTH / whole)),
                        y="0",
                        width=str(max(round(step.took_ms * _WIDTH / whole), 2)),
                        height=str(_BAR),
                    ),
                ],
                span(".number")[duration(step.took_ms)],
            ]
            for step in steps(times_ms)
        )
    ]


def trend(values_ms: Sequence[int]) -> Renderable | None:
    """Draw the last saves as columns, with lines at their p50 and p95."""
    shown = tuple(values_ms[-_TREND_VALUES:])
    if len(shown) < 2:
        return None
    most = max(*shown, 1)
    p50, p95 = (percentile(tuple(values_ms), percent) for percent in (50, 95))
    said = f"the last {len(shown)} saves: p50 {duration(p50)}, p95 {duration(p95)}"
    first, width = _TREND_VALUES - len(shown), _BAR * _TREND_VALUES
    return svg(
        ".trend",
        viewBox=f"0 0 {width} {_TREND_HEIGHT}",
        preserveAspectRatio="none",
        role="img",
        aria_label=said,
    )[
        (_column(number, value, most) for number, value in enumerate(shown, first)),
        g(".marks")[(_mark(value, most, first * _BAR) for value in (p50, min(p95, most)))],
    ]


def _column(number: int, value: int, most: int) -> Renderable:
    height = max(round(value * _TREND_HEIGHT / most), 1)
    return rect(
        x=str(number * _BAR + 1), y=str(_TREND_HEIGHT - height), width=str(_BAR - 3), height=str(height)
    )[title[duration(value)]]


def _mark(value: int, most: int, begin: int) -> Renderable:
    y = str(_TREND_HEIGHT - round(value * (_TREND_HEIGHT - 1) / most))
    return line(x1=str(begin), x2=str(_BAR * _TREND_VALUES), y1=y, y2=y)
