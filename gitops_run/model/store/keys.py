"""Which keys open a session's bucket, and which of them open other buckets as well.

This module knows how the keys are named that a store makes for one session, and when a key that a person
provides is shared. It knows neither stores nor files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gitops_run.errors import GuardError
from gitops_run.model.names import SessionName


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPair:
    """Hold a key of an S3 store: the access key, and its secret, which is left out of the representation."""

    access_key: str
    secret_key: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenKeys:
    """Hold the pairs that a person provides: one with which Flux reads, one with which saves are written."""

    reader: KeyPair
    writer: KeyPair


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeKeys:
    """Name the two accounts that a store makes for one bucket.

    The names follow from the bucket's, so that a run that continues after a kill finds what was made.
    """

    reader: str
    writer: str

    @classmethod
    def of(cls, bucket: str) -> MadeKeys:
        """Name the accounts of a bucket."""
        return cls(reader=f"{bucket}-reader", writer=f"{bucket}-writer")

    @property
    def both(self) -> tuple[str, str]:
        """List both names."""
        return (self.reader, self.writer)


def refuse_shared_keys(name: SessionName, keys: GivenKeys, elsewhere: Mapping[str, str]) -> None:
    """Refuse keys that open more than one session's bucket. Raises GuardError.

    elsewhere: from an access key to the place that names it, for every place that speaks for more than this
    session: the environment, the settings file, the stack files of other sessions.
    """
    shared = sorted({keys.reader.access_key, keys.writer.access_key} & elsewhere.keys())
    if not shared:
        return
    named = " and ".join(f"{key} ({elsewhere[key]})" for key in shared)
    is_one = len(shared) == 1
    raise GuardError(
        f"the key{'' if is_one else 's'} {named} would open session {name}'s bucket and "
        f"{'is' if is_one else 'are'} not this session's alone: the owner of any session with the same "
        "writer's key can write every other session's bucket, and so change what runs there",
        hint="remove them from there, and the store creates keys for each session if it can; or provide keys "
        "for this session alone: --keys-file FILE; or accept the risk: --shared-keys",
    )
