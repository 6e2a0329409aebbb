"""Record the demo as the picture that README shows: python examples/record_demo.py docs/demo.svg.

Runs `make demo` on a terminal of its own, and draws what it printed there.
"""

from __future__ import annotations

import io
import os
import pty
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

WIDTH = 110
ROOT = Path(__file__).parents[1]
WEB_FONTS = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
"""The picture is shown where no font can be fetched: the reader's own monospaced one takes their place."""


def main(target: Path) -> int:
    """Run the demo and write its picture; the exit code is the demo's."""
    printed = io.BytesIO()
    status = record(printed)
    draw(printed.getvalue().decode(), target)
    return os.waitstatus_to_exitcode(status)


def record(printed: io.BytesIO) -> int:
    """Run the demo on a terminal, and keep what it prints. Returns its status, as os.wait has it."""

    def read(descriptor: int) -> bytes:
        chunk = os.read(descriptor, 65536)
        printed.write(chunk)
        return chunk

    os.environ |= {"TERM": "xterm-256color", "COLUMNS": str(WIDTH)}
    os.environ.pop("NO_COLOR", None)
    os.chdir(ROOT)
    return pty.spawn(["make", "--no-print-directory", "demo"], read)


def draw(text: str, target: Path) -> None:
    """Write what a terminal got as an SVG."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, highlight=False)
    for line in text.replace("\r", "").strip("\n").split("\n"):
        console.print(Text.from_ansi(line))
    svg = WEB_FONTS.sub("", console.export_svg(title="make demo"))
    target.write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).absolute()))
