"""A right in a cluster, as RBAC and access reviews name it, and who has it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Right:
    """Name what somebody may do. namespace: "" for all of them. name: "" for every object."""

    verb: str
    resource: str
    group: str = ""
    namespace: str = ""
    name: str = ""
    subresource: str = ""

    def __str__(self) -> str:
        """Write it as a person says it."""
        resource = f"{self.resource}/{self.subresource}" if self.subresource else self.resource
        full = f"{resource}.{self.group}" if self.group else resource
        named = f" {self.name}" if self.name else ""
        return f"{self.verb} {full}{named}{f' in namespace {self.namespace}' if self.namespace else ''}"


@dataclass(frozen=True, slots=True)
class Identity:
    """Name a user as the API server does. groups: in its order."""

    user: str
    groups: tuple[str, ...] = ()
