"""Standard output that nobody reads, that is full, that closes, or whose encoding is a small one."""

from __future__ import annotations

import io
import os
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import TextIO

import click
import pytest

from gitops_run.cli.app import main
from gitops_run.cli.output import print_json
from gitops_run.cli.streams import drain, output_failing, queued_streams

MORE_THAN_A_PIPE_HOLDS = "x" * 200_000


class Pipe:
    """Standard output that leads into a pipe."""

    def __init__(self, encoding: str) -> None:
        self.reader, writer = os.pipe()
        self.stream = io.TextIOWrapper(io.FileIO(writer, "w"), encoding=encoding, write_through=True)

    def close_reader(self) -> None:
        os.close(self.reader)
        self.reader = -1

    def read(self, size: int) -> bytes:
        content = b""
        while len(content) < size:
            content += os.read(self.reader, size)
        return content

    def close(self) -> None:
        self.stream.close()
        if self.reader >= 0:
            self.close_reader()


@contextmanager
def stdout_into_a_pipe(encoding: str = "utf-8") -> Iterator[Pipe]:
    pipe, before = Pipe(encoding), sys.stdout
    sys.stdout = pipe.stream
    try:
        with queued_streams():
            yield pipe
    finally:
        sys.stdout = before
        pipe.close()


def test_what_nobody_reads_holds_nobody_up() -> None:
    with stdout_into_a_pipe() as pipe:
        click.echo(MORE_THAN_A_PIPE_HOLDS)
        assert not drain(0.01)
        assert pipe.read(200_001) == f"{MORE_THAN_A_PIPE_HOLDS}\n".encode()


def test_all_is_written_in_its_order() -> None:
    with ThreadPoolExecutor() as pool, stdout_into_a_pipe() as pipe:
        read = pool.submit(pipe.read, 200_005)
        click.echo(MORE_THAN_A_PIPE_HOLDS)
        click.echo("end")
        assert read.result(5).endswith(b"x\nend\n")


def test_a_reader_that_has_gone_is_told_at_once_and_to_the_next_writer() -> None:
    is_told = threading.Event()
    with stdout_into_a_pipe() as pipe, output_failing(lambda _: is_told.set()):
        pipe.close_reader()
        click.echo("a")
        assert is_told.wait(5)
        with pytest.raises(BrokenPipeError):
            click.echo("b")


@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
def test_what_an_encoding_lacks_is_replaced_in_text_and_escaped_in_json(encoding: str) -> None:
    with stdout_into_a_pipe(encoding) as pipe:
        sys.stdout.write("✓ done\n")
        print_json({"mark": "✓"})
        expected = b'? done\n{\n  "mark": "\\u2713"\n}\n'
        assert pipe.read(len(expected)) == expected


def test_a_stream_that_is_no_file_or_closed_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    text: TextIO = io.StringIO()
    monkeypatch.setattr(sys, "stdout", text)
    monkeypatch.setattr(sys, "stderr", None)
    with queued_streams():
        assert sys.stdout is text
        assert sys.stderr is None


def test_a_result_that_could_not_be_written_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with Path("/dev/full").open("w") as full, redirect_stderr(io.StringIO()) as told:
        monkeypatch.setattr(sys, "stdout", full)
        monkeypatch.setattr(sys, "argv", ["gitops-run", "version"])
        with pytest.raises(SystemExit) as ended:
            main()
        monkeypatch.undo()
    assert ended.value.code == 6
    assert "the disk is full" in told.getvalue()
