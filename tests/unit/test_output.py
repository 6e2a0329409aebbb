"""What is printed: nothing that a file's name holds ends a command or steers a terminal."""

from __future__ import annotations

import errno
import json
import os
import sys
import warnings
from dataclasses import replace

import pytest

from gitops_run.cli.app import cli, main
from gitops_run.cli.diff import print_difference
from gitops_run.cli.output import event_stream
from gitops_run.flows.judgement import Preflight
from gitops_run.model.objects.change import Change, FieldChange
from gitops_run.model.objects.identity import ObjectRef
from gitops_run.model.state.events import SaveBroken, SavePushed
from gitops_run.model.text.problem import Problem

NAME = os.fsdecode(b"caf\xe9\x1b[2J.yaml")
REF = ObjectRef(group="", version="v1", kind="ConfigMap", namespace="ns", name="a")
BROKEN = SaveBroken(save=1, paths=(NAME,), problems=(Problem(path=NAME, message="no\x9b"),), times_ms={})


def test_a_terminal_is_steered_by_no_name(capsys: pytest.CaptureFixture[str]) -> None:
    event_stream("text", "web").emit(BROKEN)
    printed = capsys.readouterr().out
    assert "\\x1b[2J.yaml" in printed
    assert "\x1b" not in printed
    assert "\x9b" not in printed


def test_a_name_of_any_bytes_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    event_stream("json", "web").emit(BROKEN)
    assert json.loads(capsys.readouterr().out)["paths"][0].endswith("\x1b[2J.yaml")


def test_neither_does_a_difference_or_an_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    field = FieldChange(path="data.x", before="", after="\x1b[2J")
    print_difference(Preflight(changes=(Change(action="change", ref=REF, fields=(field,)),)), "ns")
    monkeypatch.setattr(sys, "argv", ["gitops-run", "\x1b[2J"])
    with pytest.raises(SystemExit):
        main()
    printed = capsys.readouterr()
    assert "\\x1b[2J" in printed.out
    assert "\\x1b[2J" in printed.err
    assert "\x1b" not in printed.out + printed.err


def test_what_libraries_warn_of_is_not_printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def warn(**_: object) -> int:
        warnings.warn("an event with a secret", stacklevel=1)
        return 0

    monkeypatch.setattr(sys, "warnoptions", [])
    monkeypatch.setattr(cli, "main", warn)
    with pytest.raises(SystemExit):
        main()
    assert "secret" not in capsys.readouterr().err


def test_what_is_recreated_or_replaced_is_printed_as_such(capsys: pytest.CaptureFixture[str]) -> None:
    renamed = FieldChange(path="metadata.name", before='"env-1"', after='"env-2"')
    changes = (
        Change(ref=replace(REF, group="batch", kind="Job", name="once"), action="recreate"),
        Change(ref=replace(REF, name="env-2"), action="replace", fields=(renamed,)),
    )
    pushed = SavePushed(
        save=1, puts=("a",), deletes=(), revision="r", is_fenced=False, times_ms={}, changes=changes
    )
    event_stream("text", "web").emit(pushed)
    assert capsys.readouterr().out.splitlines() == [
        "  ± recreate Job ns/once",
        '  ± replace ConfigMap ns/env-2 metadata.name "env-1" → "env-2"',
    ]


def test_a_full_disk_is_an_error_with_the_path_wherever_it_is_met(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(**_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device", "/state/file")

    monkeypatch.setattr(cli, "main", fill)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 6
    assert "the disk is full: /state/file can't be written" in capsys.readouterr().err
