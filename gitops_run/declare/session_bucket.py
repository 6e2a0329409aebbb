"""What declaring a session's bucket gives, whatever its store is."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from gitops_run.model.store.keys import KeyPair


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionBucket:
    """Hold the bucket and its keys.

    made: what must exist before the keys are of use. server: what must run before Flux is to
    fetch; what else a session has is made meanwhile. ca: PEM, "" where nobody needs one.
    """

    made: tuple[pulumi.Resource, ...]
    reader: pulumi.Output[KeyPair]
    writer: pulumi.Output[KeyPair]
    ca: pulumi.Output[str]
    server: tuple[pulumi.Resource, ...] = ()
