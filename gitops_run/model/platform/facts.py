"""What a cluster shows of a platform, as values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """Hold a cluster's facts about one controller of Flux. arguments: of its container."""

    name: str
    namespace: str
    image: str
    ready: int
    wanted: int
    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformFacts:
    """Hold a cluster's facts about its platform.

    uid: of its kube-system namespace. version: of Flux by its labels, or "". kinds: those served of what a
    session needs. stacks: the labels of whatever a platform's stack has made there. policy, roles: which of
    ours are there. sessions: NAMESPACE/NAME. others: what else of Flux is in use, KIND NAMESPACE/NAME.
    unread: what may not be read, in words. can_bound: whether the API server takes admission policies.
    """

    uid: str
    version: str = ""
    kinds: tuple[str, ...] = ()
    components: tuple[Component, ...] = ()
    flux_stack: str = ""
    stacks: tuple[str, ...] = ()
    policy: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    sessions: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    can_bound: bool = True

    @property
    def has_flux(self) -> bool:
        """Report whether there is any Flux."""
        return bool(self.kinds or self.components)
