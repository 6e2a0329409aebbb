"""Processes of this machine, as far as locks and leases have to know of them."""

from __future__ import annotations

import os
from pathlib import Path


def is_alive(pid: int) -> bool:
    """Say whether a process runs. One that has ended and that nobody has waited for yet doesn't."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2]
    except OSError:
        return True  # a system without /proc can't tell
    return state.split()[0] not in {"Z", "X"}
