"""Labels by which the API server refuses pods that could harm their node. Source: Pod Security Standards."""

from __future__ import annotations

from typing import Final

POD_SECURITY: Final = {
    f"pod-security.kubernetes.io/{mode}{suffix}": value
    for mode in ("enforce", "warn")
    for suffix, value in (("", "restricted"), ("-version", "latest"))
}
"""For a namespace: what isn't restricted is refused, and warned of where a workload asks for it."""
