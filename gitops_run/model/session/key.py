"""Which session is meant, and in which cluster: decided once from the settings, then passed on."""

from __future__ import annotations

from dataclasses import dataclass

from gitops_run.model.names import SessionName
from gitops_run.model.session.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionKey:
    """Identify one session. kubeconfig: a path. namespace: the session's own."""

    kubeconfig: str
    context: str
    namespace: str
    name: SessionName

    @classmethod
    def of(cls, name: SessionName, settings: Settings) -> SessionKey:
        """Choose the session of this name. Raises UsageError where no kubeconfig or context is set."""
        return cls(
            kubeconfig=settings.require("kubeconfig"),
            context=settings.require("context"),
            namespace=settings.namespace or name.namespace,
            name=name,
        )
