"""Everything that helps to find out what went wrong in a sandbox, as one archive with secrets masked."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gitops_run.errors import SandboxError
from gitops_run.sandbox.lifecycle import is_up
from gitops_run.sandbox.redaction import learned, redacted_log, redacted_object
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
"""What is read from the cluster. Secrets are not among it."""
_SECRETS = "/api/v1/secrets"


def export(sandbox: Sandbox, archive: Path) -> None:
    """Write logs, events and, where the sandbox runs, its Flux objects into a tar.gz, with secrets masked.

    Where it doesn't run, nobody can say what its Secrets hold: the forms of messages alone keep that out.
    """
    is_running = is_up(sandbox.folder)
    api = ApiServer(sandbox)
    objects = _objects(api) if is_running else {}
    masker = learned(_secrets(api, sandbox.name) if is_running else (), objects, _keys(sandbox))
    descriptor = os.open(archive, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file, tarfile.open(fileobj=file, mode="w:gz") as tar:
        for path in (*sorted((sandbox.folder / "logs").glob("*.log")), sandbox.folder / "events.jsonl"):
            if path.exists():
                text = redacted_log(path.read_text(encoding="utf-8", errors="replace"), masker)
                _add(tar, str(path.relative_to(sandbox.folder)), text.encode())
        for name, found in objects.items():
            text = json.dumps(redacted_object(found, masker), indent=2)
            _add(tar, f"objects/{name}.json", text.encode())


def _secrets(api: ApiServer, name: str) -> list[dict[str, Any]]:
    try:
        return list(api.get(_SECRETS).get("items") or ())
    except (SandboxError, OSError) as error:
        raise SandboxError(
            f"the sandbox's Secrets can't be read, so that nothing can be masked: {error}",
            hint="a stopped sandbox can be exported too; "
            f"to see what runs: gitops-run sandbox status --name {name}",
        ) from error


def _keys(sandbox: Sandbox) -> list[str]:
    """List the secret keys of the sandbox's store, whomever they are of."""
    files = (
        *(sandbox.folder / "store").glob("*.json"),
        *(sandbox.folder / "store" / "accounts").glob("*.json"),
    )
    return [key for file in files for key in _secret_keys(json.loads(file.read_text()))]


def _secret_keys(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "secret" and isinstance(value, str):
                yield value
            else:
                yield from _secret_keys(value)


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
