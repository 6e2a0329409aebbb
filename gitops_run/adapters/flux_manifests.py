"""Flux's manifests, from a file or a URL, as documents. Knows nothing of what stands in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import aiohttp
import anyio
import yaml

from gitops_run.errors import BackendError, UsageError
from gitops_run.model.text import yaml_limits

DOWNLOAD_S: Final = 60.0
MANIFESTS_BYTES_MAX: Final = 16 * 1024 * 1024
"""Flux 2.9's install.yaml has less than one."""
_HINT: Final = "name another file or URL: --flux-manifests"


async def read_manifests(place: str) -> tuple[dict[str, Any], ...]:
    """Read all documents of a file, or of what a URL leads to.

    Raises UsageError on what isn't YAML of Kubernetes, BackendError where it can't be had.
    """
    text = await _download(place) if "://" in place else await _read(place)
    try:
        documents = [one for one in yaml_limits.load_all(text) if one]
    except yaml_limits.ExcessError as error:
        raise UsageError(f"{place} is too much YAML: {error.problem}", hint=_HINT) from error
    except yaml.YAMLError as error:
        raise UsageError(f"{place} is not YAML: {type(error).__name__}", hint=_HINT) from error
    if not documents or not all(_is_object(one) for one in documents):
        raise UsageError(f"{place} contains no Kubernetes manifests", hint=_HINT)
    return tuple(documents)


async def _read(path: str) -> str:
    try:
        async with await anyio.open_file(path, "rb") as file:
            return _decoded(await file.read(MANIFESTS_BYTES_MAX + 1), path)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not a string"
        raise UsageError(f"{Path(path)} can't be read: {reason}", hint=_HINT) from error


def _decoded(content: bytes | bytearray, place: str) -> str:
    """Read manifests as text. Raises UsageError on what is too large, UnicodeDecodeError on no text."""
    if len(content) > MANIFESTS_BYTES_MAX:
        size_mb = MANIFESTS_BYTES_MAX // 2**20
        raise UsageError(f"{place} holds more than {size_mb} MiB: Flux's manifests have less", hint=_HINT)
    return content.decode()


async def _download(url: str) -> str:
    """Download by the proxies that the environment names."""
    limits = aiohttp.ClientTimeout(total=DOWNLOAD_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=limits, trust_env=True, raise_for_status=True) as session,
            session.get(url) as response,
        ):
            content = bytearray()
            async for chunk in response.content.iter_any():
                content += chunk
                if len(content) > MANIFESTS_BYTES_MAX:
                    break
            return _decoded(content, url)
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        reason = str(error) or f"no answer within {DOWNLOAD_S:.0f} s"
        raise BackendError(
            f"Flux's manifests can't be downloaded from {url}: {reason}",
            hint="in a closed network, provide install.yaml: --flux-manifests FILE",
        ) from error


def _is_object(document: object) -> bool:
    return (
        isinstance(document, dict)
        and bool(document.get("kind"))
        and bool(document.get("apiVersion"))
        and isinstance(document.get("metadata"), dict)
        and bool(document["metadata"].get("name"))
    )
