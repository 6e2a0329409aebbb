"""This project's plugin, put where Pulumi's engine finds it, whichever project a program belongs to.

This module knows where the engine keeps plugins: $PULUMI_HOME/plugins/resource-NAME-vVERSION, of which it
takes the newest where a program names no version. `pip install` can't write there, and an environment's bin
folder is on PATH only while it is activated, so a program that declares sessions installs the plugin.
Source: pulumi 3.259, sdk/go/common/workspace/plugins.go.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from gitops_run.model.session.settings import PROJECT
from gitops_run.version import VERSION

OWN_PLUGIN: Final = Path(__file__).parents[2] / "plugins" / "gitops_run" / "bin"
"""The folder that has the plugin's program, for a Pulumi.yaml."""
_PROGRAM: Final = f"pulumi-resource-{PROJECT}"
_PYTHON: Final = "python"


def plugins_folder(environment: Mapping[str, str]) -> Path:
    """Name the folder where Pulumi's engine keeps plugins."""
    home = environment.get("PULUMI_HOME")
    return (Path(home) if home else Path(environment.get("HOME", "~")).expanduser() / ".pulumi") / "plugins"


def has_own_plugin(environment: Mapping[str, str]) -> bool:
    """Say whether Pulumi's engine finds this version of the plugin."""
    return (plugins_folder(environment) / f"resource-{PROJECT}-v{VERSION}" / _PROGRAM).is_file()


def install_own_plugin(environment: Mapping[str, str]) -> None:
    """Put the plugin where Pulumi's engine looks for it, to be started with this Python. Raises OSError.

    Does nothing where it is there already. Another environment with the same version has the last word on the
    Python; the program tries the others' where that one is gone.
    """
    folder = plugins_folder(environment) / f"resource-{PROJECT}-v{VERSION}"
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / _PYTHON, f"{sys.executable or Path(sys.prefix, 'bin', 'python')}\n", mode=0o644)
    _write(folder / _PROGRAM, (OWN_PLUGIN / _PROGRAM).read_text(encoding="utf-8"), mode=0o755)


def _write(path: Path, text: str, *, mode: int) -> None:
    """Write a file whole, unless it is as it should be: engines of other programs may be reading it."""
    if path.is_file() and path.read_text(encoding="utf-8") == text and path.stat().st_mode & 0o777 == mode:
        return
    with tempfile.NamedTemporaryFile(
        "w", dir=path.parent, prefix=f".{path.name}.", encoding="utf-8", delete=False
    ) as file:
        file.write(text)
    os.chmod(file.name, mode)  # noqa: PTH101 - a temporary file's name is a text
    os.replace(file.name, path)  # noqa: PTH105
