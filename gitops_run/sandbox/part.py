"""One process of a sandbox, described as a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gitops_run.sandbox.certificates import Pair
from gitops_run.sandbox.state import Sandbox


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Describe one process of the sandbox.

    health: an address that answers 200 once the part is ready, or that of a unix socket where it listens.
    identity: what to show it, where it asks. after: names of parts that must be ready before.
    environment: added to the supervisor's own.
    """

    name: str
    argv: tuple[str, ...]
    health: str
    after: tuple[str, ...] = ()
    authority: Path
    identity: Pair | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


def command(sandbox: Sandbox, program: str, options: Mapping[str, object]) -> tuple[str, ...]:
    """Compose a command line out of a program's name and its options."""
    return (str(sandbox.binaries[program]), *flags(options))


def flags(options: Mapping[str, object]) -> tuple[str, ...]:
    """Write options as arguments."""
    return tuple(f"--{name}={value}" for name, value in options.items())
