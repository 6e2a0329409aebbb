"""Both plugins of this project end with the engine that started them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import gitops_run

PACKAGE = Path(gitops_run.__file__).parent


@pytest.mark.parametrize(
    "program", sorted(PACKAGE.glob("*/*/bin/pulumi-resource-*")), ids=lambda path: path.name
)
def test_a_plugin_ends_when_the_engine_that_started_it_is_killed(program: Path, tmp_path: Path) -> None:
    engine = subprocess.Popen(
        ["/bin/sh", "-c", f"'{program}' 127.0.0.1:1 & wait"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    assert engine.stdout is not None
    engine.stdout.readline()

    engine.kill()
    engine.wait(10)

    with engine.stdout:
        assert engine.stdout.read() == ""  # its end: the plugin, which held it too, has gone
