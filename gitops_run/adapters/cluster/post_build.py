"""What a session's Kustomization does after the build, as far as it can be read from outside Flux."""

from __future__ import annotations

from dataclasses import dataclass

from gitops_run.adapters.cluster.connection import Json
from gitops_run.model.objects.substitution import Variables


@dataclass(frozen=True, slots=True, kw_only=True)
class PostBuild:
    """Hold what Flux does with what kustomize built. variables: None where it substitutes nothing.

    secrets: the names of those in the session's namespace that variables come from. is_wide: objects stay in
    the namespaces that they name, or in none; else all of them go to the session's.
    """

    variables: Variables | None = None
    has_decryption_key: bool = False
    secrets: tuple[str, ...] = ()
    is_wide: bool = False


def to_post_build(kustomization: Json) -> PostBuild:
    """Read it from the session's Kustomization."""
    spec = kustomization.get("spec") or {}
    given = spec.get("postBuild")
    variables = (
        Variables(values=given.get("substitute") or {}, has_foreign=bool(given.get("substituteFrom")))
        if given
        else None
    )
    sources = (given or {}).get("substituteFrom") or ()
    secrets = tuple(source["name"] for source in sources if source["kind"] == "Secret")
    return PostBuild(
        variables=variables,
        has_decryption_key="decryption" in spec,
        secrets=secrets,
        is_wide=bool(spec) and not spec.get("targetNamespace"),
    )
