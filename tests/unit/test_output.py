"""What is printed: nothing that a file's name holds ends a command or steers a terminal."""

from __future__ import annotations

import json
import os

import pytest

from gitops_run.cli.output import event_printer
from gitops_run.model.events import SaveBroken
from gitops_run.model.problem import Problem

NAME = os.fsdecode(b"caf\xe9\x1b[2J.yaml")
BROKEN = SaveBroken(save=1, paths=(NAME,), problems=(Problem(path=NAME, message="no\x9b"),), times_ms={})


def test_a_terminal_is_steered_by_no_name(capsys: pytest.CaptureFixture[str]) -> None:
    event_printer("text", "web")(BROKEN)
    printed = capsys.readouterr().out
    assert "\\x1b[2J.yaml" in printed
    assert "\x1b" not in printed
    assert "\x9b" not in printed


def test_a_name_of_any_bytes_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    event_printer("json", "web")(BROKEN)
    assert json.loads(capsys.readouterr().out)["paths"][0].endswith("\x1b[2J.yaml")
