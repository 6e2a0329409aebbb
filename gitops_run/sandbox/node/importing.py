"""Bring images into a node's containerd, where the kubelet finds them."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

from gitops_run.errors import NotFound, SandboxError
from gitops_run.sandbox.node.configuration import socket_of
from gitops_run.sandbox.node.machine import node_folder
from gitops_run.sandbox.state import Sandbox, write_private

_UNPACKED = re.compile(r"^unpacking (\S+) ", re.MULTILINE)
_KUBERNETES = "k8s.io"
"""The namespace of containerd's in which the kubelet looks."""


def import_missing(sandbox: Sandbox, archives: Iterable[Path]) -> None:
    """Import the archives that this node hasn't had yet, in their order; containerd keeps them."""
    record = node_folder(sandbox.folder) / "imported.json"
    known = json.loads(record.read_text()) if record.exists() else []
    for archive in archives:
        if archive.name not in known:
            import_archive(sandbox, archive)
            known.append(archive.name)
            write_private(record, json.dumps(known))


def import_archive(sandbox: Sandbox, archive: Path) -> tuple[str, ...]:
    """Import an archive of `docker save`'s form, or of OCI's; return the names of its images.

    Raises NotFound, SandboxError.
    """
    if not archive.is_file():
        raise NotFound(f"there is no image archive {archive}", hint="docker save IMAGE --output ARCHIVE")
    ctr = (str(sandbox.binaries["ctr"]), "--address", str(socket_of(sandbox.folder)))
    answer = subprocess.run(
        [*ctr, "--namespace", _KUBERNETES, "images", "import", str(archive)],
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode:
        raise SandboxError(f"{archive} could not be imported: {answer.stderr.strip()}")
    return tuple(_UNPACKED.findall(answer.stdout))
