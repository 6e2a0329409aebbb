"""The files of Pulumi's file backend, after a kill amid its writing.

A stack's own file is whole at any time: the backend writes another and renames it. Beside each file lies a
sidecar that tells its content type. It is written in place; while it is empty Pulumi refuses to read the file
("EOF"), and without one it reads it. Source: gocloud.dev, blob/fileblob/attrs.go, as of Pulumi 3.259.
"""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import unquote


def drop_torn_sidecars(backend: str) -> bool:
    """Remove each sidecar that can't be read, and say whether there was any.

    backend: the backend's URL. Does nothing where the state isn't in files.
    """
    if not backend.startswith("file://"):
        return False
    path = unquote(backend.removeprefix("file://").partition("?")[0])
    torn = [file for file in (Path(path).expanduser() / ".pulumi").rglob("*.attrs") if not _is_whole(file)]
    for file in torn:
        file.unlink(missing_ok=True)
    return bool(torn)


def _is_whole(file: Path) -> bool:
    try:
        json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return True
