"""A build of the command line without one of its guards: chaos must find it out.

`python -m tests.chaos.mutant MUTATION COMMAND…` runs the real command line without the guard.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from gitops_run.adapters.cluster.lease import SessionLease
from gitops_run.cli.app import main


async def _permitted(_: SessionLease) -> None:
    """Permit each request that writes, whoever holds the lease."""


def _without_lease_check() -> None:
    setattr(SessionLease, "ensure", _permitted)  # noqa: B010 - a method is replaced


MUTATIONS: dict[str, Callable[[], None]] = {"no-lease-check": _without_lease_check}

if __name__ == "__main__":
    mutation, *sys.argv[1:] = sys.argv[1:]
    MUTATIONS[mutation]()
    main()
