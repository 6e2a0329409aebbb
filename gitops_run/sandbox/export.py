"""Everything that helps to find out what went wrong in a sandbox, as one archive without secrets."""

from __future__ import annotations

import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

from gitops_run.errors import SandboxError
from gitops_run.sandbox.lifecycle import is_up
from gitops_run.sandbox.state import Sandbox
from gitops_run.sandbox.web import ApiServer

_COLLECTIONS = {
    "buckets": "/apis/source.toolkit.fluxcd.io/v1/buckets",
    "gitrepositories": "/apis/source.toolkit.fluxcd.io/v1/gitrepositories",
    "helmcharts": "/apis/source.toolkit.fluxcd.io/v1/helmcharts",
    "kustomizations": "/apis/kustomize.toolkit.fluxcd.io/v1/kustomizations",
    "helmreleases": "/apis/helm.toolkit.fluxcd.io/v2/helmreleases",
    "namespaces": "/api/v1/namespaces",
    "nodes": "/api/v1/nodes",
    "events": "/api/v1/events",
}
"""What is read from the cluster. Secrets are not among it, and Flux's objects only refer to them."""


def export(sandbox: Sandbox, archive: Path) -> None:
    """Write logs, events and, where the sandbox runs, its Flux objects into a tar.gz."""
    descriptor = os.open(archive, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file, tarfile.open(fileobj=file, mode="w:gz") as tar:
        for path in (*sorted((sandbox.folder / "logs").glob("*.log")), sandbox.folder / "events.jsonl"):
            if path.exists():
                tar.add(path, arcname=str(path.relative_to(sandbox.folder)))
        if is_up(sandbox.folder):
            for name, objects in _objects(ApiServer(sandbox)).items():
                _add(tar, f"objects/{name}.json", json.dumps(objects, indent=2).encode())


def _objects(api: ApiServer) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, path in _COLLECTIONS.items():
        try:
            found[name] = api.get(path)
        except (SandboxError, OSError) as error:
            found[name] = {"unread": str(error)}
    return found


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))
