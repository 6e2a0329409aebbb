"""Errors that nobody expects: they end neither the server nor what it does for other pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gitops_run.api.caller import Report
from gitops_run.errors import GitOpsRunError, ungrouped


@contextmanager
def guarded(report: Report, failed: Callable[[GitOpsRunError], None]) -> Iterator[None]:
    """Hand any error of what is done inside to `failed`, and report an unexpected one in a line."""
    try:
        with ungrouped(Exception):
            yield
    except GitOpsRunError as error:
        failed(error)
    except Exception as error:  # noqa: BLE001 - the boundary: the server runs on
        report(line_of(error))
        failed(
            GitOpsRunError(line_of(error), hint="try again; if it stays, restart the server: gitops-run ui")
        )


def line_of(error: Exception) -> str:
    """Write an unexpected error in a line."""
    return f"unexpected error: {type(error).__name__}: {error}".partition("\n")[0].rstrip(" :")


def once(report: Report) -> Report:
    """Report each line once: what fails again and again fills no terminal."""
    reported: set[str] = set()

    def report_new(line: str) -> None:
        if line not in reported:
            reported.add(line)
            report(line)

    return report_new
