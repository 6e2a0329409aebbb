"""What SOPS has encrypted: Flux decrypts it where the session has a key, and only there.

This module knows objects, the values of generated Secrets, and how a name follows from what only Flux can
read. It decrypts nothing. Source: SOPS 3, the metadata that it adds to a file; kustomize-controller 1.9,
internal/decryptor.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any, Final

from gitops_run.model.text.problem import Problem

_DISABLED: Final = "kustomize.toolkit.fluxcd.io/decrypt"
_MARKERS: Final = (b'"mac": "ENC[', b"sops_mac=ENC[", b"[sops]", b"mac: ENC[")
"""By which Flux knows the value of a Secret to be a file that SOPS has encrypted."""
_VALUE: Final = b"ENC[AES256_GCM,"
_DOTENV_MARKER: Final = re.compile(rb"^sops_mac=ENC\[", re.MULTILINE)
_DOTENV_METADATA: Final = re.compile(rb"^sops_[^\n]*\n?", re.MULTILINE)


def is_encrypted(document: Mapping[str, Any]) -> bool:
    """Report whether SOPS has encrypted a document, and no annotation keeps Flux from decrypting it."""
    metadata = document.get("sops")
    own = document.get("metadata")
    annotations = own.get("annotations") if isinstance(own, Mapping) else None
    is_left = isinstance(annotations, Mapping) and str(annotations.get(_DISABLED, "")).lower() == "disabled"
    return isinstance(metadata, Mapping) and bool(metadata.get("mac")) and not is_left


def holds_ciphertext(document: Mapping[str, Any]) -> bool:
    """Report whether a Secret has values that SOPS has encrypted: generators make such ones of files."""
    data = document.get("data")
    if document.get("kind") != "Secret" or not isinstance(data, Mapping):
        return False
    return any(_is_ciphertext(str(value)) for value in data.values())


def without_dotenv_metadata(content: bytes) -> bytes | None:
    """Take out of an encrypted dotenv file what isn't there once it is decrypted; None where it is none."""
    return _DOTENV_METADATA.sub(b"", content) if _DOTENV_MARKER.search(content) else None


def encrypted_without_key(path: str, line: int | None = None) -> Problem:
    """Report a document that is encrypted, for a session without a key."""
    return Problem(
        path=path,
        line=line,
        message="this is encrypted with SOPS, and the session has no key to decrypt it with",
        hint="provide one: gitops-run up NAME --decryption-key-file FILE",
    )


def _is_ciphertext(encoded: str) -> bool:
    try:
        value = base64.b64decode(encoded)
    except (binascii.Error, ValueError):
        return False
    return value.lstrip().startswith(_VALUE) or any(marker in value for marker in _MARKERS)
