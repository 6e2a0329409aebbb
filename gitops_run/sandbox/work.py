"""How far a build has come, and how long it will still take: counted in the CPU time that each group costs.

This module knows what the groups are known to cost, and what Go says while it compiles. Within a group the
packages count, since Go names each as it begins with it; an interrupted build remembers how many it had
compiled.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping, Sequence

from gitops_run.sandbox.programs import Group

_PACKAGE = re.compile(r"[\w.~+/@-]+")
_DOWNLOAD = re.compile(r"go: downloading (\S+) \S+")
_ENOUGH_TO_EXTRAPOLATE = 0.01
_BUSY_PER_CORE = 2.5
"""The load per core that a build of ours alone doesn't reach: it runs about one compiler per core."""
_ALMOST = 0.99
"""How much of a group counts as done at most before its programs are linked."""

Load = Callable[[], float]


class WorkDone:
    """Follow a build of several groups, one after another.

    compiled: how many packages of a group an interrupted build has left compiled, by the group's name.
    """

    def __init__(
        self,
        groups: Sequence[Group],
        compiled: Mapping[str, int],
        clock: Callable[[], float] = time.monotonic,
        load: Load = lambda: os.getloadavg()[0],
        cores: int = os.cpu_count() or 1,
    ) -> None:
        self._total = sum(group.work.cpu_s for group in groups)
        self._compiled = dict(compiled)
        self._clock = clock
        self._load = load
        self._cores = cores
        self._group = groups[0]
        self._finished = 0
        self._heard = 0.0
        self._downloading = ""
        self._began = clock()
        self.share_before = sum(self._share_of(group) * group.work.cpu_s for group in groups) / self._total

    @property
    def share(self) -> float:
        """Describe how much of the whole work is done, from 0 to 1."""
        return (self._finished + self._share_of(self._group) * self._group.work.cpu_s) / self._total

    def begin(self, group: Group) -> None:
        """Go on to another group."""
        self._group = group

    def hear(self, line: str) -> bool:
        """Take in what Go says. Returns whether it was about progress, and not about a failure."""
        if download := _DOWNLOAD.match(line):
            self._downloading = download.group(1)
            return True
        if not _PACKAGE.fullmatch(line):
            return False
        self._downloading = ""
        self._compiled[self._group.name] = self.compiled + 1
        self._heard += self._group.work.cpu_s / max(self._group.work.packages, 1)
        return True

    @property
    def compiled(self) -> int:
        """Describe how many packages of the present group are compiled."""
        return self._compiled.get(self._group.name, 0)

    def finish(self) -> None:
        """Count the present group as done."""
        self._finished += self._group.work.cpu_s
        self._compiled.pop(self._group.name, None)

    def line(self) -> str:
        """Write for a person where the build is, how long it has taken, and how long it will take."""
        elapsed = self._clock() - self._began
        times = f"{duration(elapsed)} so far, about {duration(self._left(elapsed))} left"
        return f"{int(self.share * 100):3}%, {times}: {self._group.name}, {self._what()}"

    def _what(self) -> str:
        if self._downloading:
            return f"downloading {self._downloading}"
        packages = self._group.work.packages
        what = f"{min(self.compiled, packages):,} of {packages:,} packages" if packages else "manifests"
        is_busy = self._load() > _BUSY_PER_CORE * self._cores
        return f"{what}; slow: this machine is busy" if is_busy else what

    def _left(self, elapsed: float) -> float:
        """Extrapolate from what this run has compiled; at first, from the CPU time that it is known to take.

        What comes from Go's cache is done at once, and says nothing of the rest.
        """
        left = (1 - self.share) * self._total
        if self._heard < _ENOUGH_TO_EXTRAPOLATE * self._total:
            return left / self._cores
        return left * elapsed / self._heard

    def _share_of(self, group: Group) -> float:
        packages = group.work.packages
        return min(self._compiled.get(group.name, 0) / packages, _ALMOST) if packages else 0.0


def duration(seconds: float) -> str:
    """Write a duration in minutes, below two minutes in seconds."""
    return f"{seconds / 60:.0f} min" if seconds >= 119.5 else f"{seconds:.0f} s"
