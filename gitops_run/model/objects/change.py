"""What a save changes in the cluster, object by object, as values."""

from __future__ import annotations

from dataclasses import dataclass, field

from gitops_run.model.objects.identity import ObjectRef

set_field = object.__setattr__
"""Set a derived field of a frozen value, in its __post_init__."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldChange:
    """One field of an object that a save changes. before, after: as JSON; "***" for what is secret."""

    path: str
    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One object that a save changes.

    action: "create", "change", "delete", "recreate" (deleted, and created again under its name) or "replace"
    (created under a name with a new hash, and the old one deleted). object: ref as people read it, for JSON.
    """

    ref: ObjectRef
    action: str
    fields: tuple[FieldChange, ...] = ()
    object: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        """Write the object's name; what JSON says of it doesn't count."""
        set_field(self, "object", str(self.ref))
