"""The exit code of `gitops-run diff`, where 1 means differences and nothing else."""

from __future__ import annotations

import sys

import pytest

from gitops_run.cli import app


@pytest.mark.parametrize(("command", "code"), [("diff", 70), ("status", 1)])
def test_a_bug_is_never_taken_for_differences(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str, code: int
) -> None:
    monkeypatch.setattr(sys, "argv", ["gitops-run", "--debug", command, "web"])
    monkeypatch.setattr(app, "cli", broken)
    with pytest.raises(SystemExit) as stop:
        app.main()
    assert stop.value.code == code
    assert "unexpected error" in capsys.readouterr().err


class _Broken:
    def main(self, **_: object) -> None:
        raise ZeroDivisionError


broken = _Broken()
