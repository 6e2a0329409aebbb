"""Which process is at the other end of a connection on loopback, as /proc tells it."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

_LOCAL, _REMOTE, _INODE = 1, 2, 9
"""Fields of a line of /proc/net/tcp."""


def owner(client_port: int, server_port: int, pids: Iterable[int]) -> int:
    """Find which of these processes has this connection; 0 where none of them has."""
    inode = _inode(client_port, server_port)
    return next((pid for pid in pids if inode and _has_socket(pid, inode)), 0)


def _inode(client_port: int, server_port: int) -> str:
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if _port(fields[_LOCAL]) == client_port and _port(fields[_REMOTE]) == server_port:
            return fields[_INODE]
    return ""


def _port(address: str) -> int:
    return int(address.rpartition(":")[2], 16)


def _has_socket(pid: int, inode: str) -> bool:
    with suppress(OSError):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                if str(descriptor.readlink()) == f"socket:[{inode}]":
                    return True
    return False
