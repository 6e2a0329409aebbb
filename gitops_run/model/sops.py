"""Which objects SOPS has encrypted: Flux decrypts them where the session has a key, and only there.

Decrypts nothing. Source: SOPS 3, the metadata that it adds to a file under the key "sops";
kustomize-controller 1.9, internal/decryptor.
"""

from __future__ import annotations

from collections.abc import Mapping

from gitops_run.model.problem import Problem


def is_encrypted(document: Mapping[str, object]) -> bool:
    """Say whether SOPS has encrypted a document."""
    metadata = document.get("sops")
    return isinstance(metadata, Mapping) and {"mac", "version"} <= metadata.keys()


def encrypted_without_key(path: str, line: int | None = None) -> Problem:
    """Tell of a document that is encrypted, for a session without a key: Flux would apply ciphertext."""
    return Problem(
        path=path,
        line=line,
        message="this is encrypted by SOPS, and the session has no key to decrypt it with",
        hint="give it one: gitops-run up NAME --decryption-key-file FILE",
    )
