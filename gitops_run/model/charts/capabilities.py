"""What a chart may ask of its cluster."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """Hold what .Capabilities shows. api_versions: "apps/v1" and "apps/v1/Deployment"."""

    kube_version: str
    api_versions: tuple[str, ...]
