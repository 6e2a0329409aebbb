"""What each kind of fault does, and what has to hold once it is over."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.chaos.place import Place
from tests.chaos.proxies import Hold, Proxies
from tests.chaos.schedule import PARTS, Episode, Kind
from tests.chaos.witnesses import Violations, Witnesses, wait_for
from tests.chaos.world import VALUES, Edit, World
from tests.chaos.writers import END_S, INTERRUPTED, LOCKED, Writer, Writers

SETTLE_S = 150.0
"""The longest that a state may take once a fault is over: the tool, Flux and the sandbox back off."""
UPLOADS_S = 60.0
STOP_S = 20.0
LONG_STOP_S = 45.0
"""Longer than a lease."""
HELD_ANSWER_S = 3.2
"""Slower than any store, and not slow enough for the tool to give a request up: 500 files take 50 s."""
NEXT_WAVE_S = 1.5 * HELD_ANSWER_S
"""Within this, a writer that has not stopped sends what it has left to send."""
SLOW_S = 12.0
QUIET_S = 10.0
STUCK_MAX = 3


class StuckError(Exception):
    """The run can't go on."""


@dataclass(slots=True, kw_only=True)
class Fault:
    """One fault that was injected. at: seconds since the run began."""

    at: float
    save: int
    kind: str
    what: str


@dataclass(slots=True, kw_only=True)
class Scene:
    """Bundle what an episode acts upon."""

    place: Place
    world: World
    proxies: Proxies
    writers: Writers
    witnesses: Witnesses
    violations: Violations
    tell: Callable[[str], None]
    faults: list[Fault] = field(default_factory=list)


class Episodes:
    """Play episodes one after another, with one writer from each to the next."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._stuck = 0
        self._writer = self._start()
        self._settle()

    def play(self, episode: Episode, until_s: float) -> None:
        """Play one episode, and compare everything once it is over.

        Raises StuckError where that can't go on, or the run has taken until_s.
        """
        if self._scene.violations.clock() > until_s:
            raise StuckError("the time limit has passed")
        dice = episode.dice
        if episode.kind in PARTS:
            self._restart(episode.kind, dice)
        else:
            plays: dict[Kind, Callable[[random.Random], None]] = {
                Kind.NONE: self._plain,
                Kind.KILLED: self._kill,
                Kind.KILLED_AMID_UPLOADS: self._kill_amid_uploads,
                Kind.STOPPED: self._stop,
                Kind.STOPPED_AND_TAKEN_OVER: self._take_over_stopped,
                Kind.CUT_OFF_AND_TAKEN_OVER: self._take_over_cut_off,
                Kind.TWO_WRITERS: self._two_writers,
                Kind.SLOW_STORE: self._slow_store,
            }
            plays[episode.kind](dice)

    def end(self) -> None:
        """Interrupt the writer, and look once more after a while in which nothing happens."""
        self._writer.signal(signal.SIGINT)
        code = self._writer.ends()
        if code != INTERRUPTED:
            self._unexpected(f"the last writer did not end as asked: {self._writer.last_words()}")
        time.sleep(QUIET_S)
        self._settle(0.0)

    def _plain(self, dice: random.Random) -> None:
        self._edit(dice.choice((Edit.ONE, Edit.ONE, Edit.FEW, Edit.EXTRA)))
        self._settle()

    def _kill(self, dice: random.Random) -> None:
        self._edit(dice.choice((Edit.ONE, Edit.FEW, Edit.EXTRA)))
        delay = dice.uniform(0, 1.0)
        time.sleep(delay)
        self._fault(Kind.KILLED, f"kill -9 of {self._writer.pid}, {delay:.2f} s after the edit")
        self._writer.kill()
        self._writer = self._start()
        self._settle()

    def _kill_amid_uploads(self, dice: random.Random) -> None:
        puts = self._await_puts(dice.randint(1, VALUES - 50))
        self._fault(Kind.KILLED_AMID_UPLOADS, f"kill -9 of {self._writer.pid}, after {puts} of {VALUES} puts")
        self._writer.kill()
        self._writer = self._start()
        self._settle()

    def _stop(self, dice: random.Random) -> None:
        puts = self._await_puts(dice.randint(1, VALUES - 50))
        self._fault(
            Kind.STOPPED, f"{self._writer.pid} stopped for {STOP_S:.0f} s, after {puts} of {VALUES} puts"
        )
        self._writer.signal(signal.SIGSTOP)
        self._edit(Edit.ONE)
        time.sleep(STOP_S)
        self._writer.signal(signal.SIGCONT)
        self._settle()

    def _take_over_stopped(self, dice: random.Random) -> None:
        """Stop a writer while answers to it are held: what it sent has arrived, nothing else may follow."""
        old, puts = self._await_held_puts(dice)
        old.signal(signal.SIGSTOP)
        stopped = time.monotonic()
        self._fault(
            Kind.STOPPED_AND_TAKEN_OVER,
            f"{old.pid} stopped after {puts} of {VALUES} puts; it goes on after the winner's save",
        )
        self._take_over(dice)
        time.sleep(max(0.0, stopped + LONG_STOP_S - time.monotonic()))
        old.signal(signal.SIGCONT)
        self._loses(old)
        self._edit(Edit.ONE)
        self._settle()

    def _take_over_cut_off(self, dice: random.Random) -> None:
        """Cut a writer off amid uploads that outlast its lease: it can't know that it was taken over."""
        old, puts = self._await_held_puts(dice)
        self._scene.proxies.cut_off(old.pid)
        self._fault(
            Kind.CUT_OFF_AND_TAKEN_OVER,
            f"{old.pid} cut off after {puts} of {VALUES} puts, with answers held for {HELD_ANSWER_S} s",
        )
        self._take_over(dice)
        time.sleep(NEXT_WAVE_S)
        self._scene.proxies.mend(old.pid)
        self._loses(old)
        self._edit(Edit.ONE)
        self._settle()

    def _two_writers(self, dice: random.Random) -> None:
        old, puts = self._await_held_puts(dice)
        refused = self._start()
        self._fault(
            Kind.TWO_WRITERS,
            f"{refused.pid} asks, and another takes over from {old.pid} after {puts} of {VALUES} puts",
        )
        if refused.ends() != LOCKED:
            self._unexpected(f"a second writer was not refused: {refused.last_words()}")
        self._take_over(dice)
        self._loses(old)
        self._edit(Edit.FEW)
        self._settle()

    def _slow_store(self, dice: random.Random) -> None:
        hold = dice.choice(
            (Hold(answers_s=4.0), Hold(answers_s=dice.uniform(1, 3)), Hold(requests_s=dice.uniform(1, 2.5)))
        )
        self._scene.proxies.hold(self._writer.pid, hold)
        self._edit(Edit.ALL)
        self._fault(
            Kind.SLOW_STORE,
            f"for {SLOW_S:.0f} s requests wait {hold.requests_s:.1f} s, answers {hold.answers_s:.1f} s",
        )
        time.sleep(SLOW_S)
        self._scene.proxies.let_go(self._writer.pid)
        self._settle()

    def _restart(self, kind: Kind, dice: random.Random) -> None:
        # Asked to end, the API server goes on for a minute with the watches that it has.
        number = signal.SIGKILL if kind is Kind.API_SERVER else dice.choice((signal.SIGKILL, signal.SIGTERM))
        self._edit(dice.choice((Edit.FEW, Edit.EXTRA, Edit.ALL)))
        delay = dice.uniform(0, 0.8)
        time.sleep(delay)
        pid = self._scene.place.end_part(PARTS[kind], number)
        self._fault(kind, f"{number.name} to {PARTS[kind]} {pid}, {delay:.2f} s after the edit")
        self._settle()

    def _await_puts(self, puts: int) -> int:
        """Change all files, and return once the store has got so many of them."""
        rings = self._scene.proxies.after_puts(self._writer.pid, puts)
        self._edit(Edit.ALL)
        if not rings.wait(UPLOADS_S):
            self._unexpected(
                f"{puts} puts did not come within {UPLOADS_S:.0f} s: {self._writer.last_words()}"
            )
        return puts

    def _await_held_puts(self, dice: random.Random) -> tuple[Writer, int]:
        """Do that with answers held, and wait until those that are under way have reached the store."""
        self._scene.proxies.hold(self._writer.pid, Hold(answers_s=HELD_ANSWER_S))
        puts = self._await_puts(dice.randint(1, 60))
        writer = self._writer.pid
        wait_for(lambda: self._scene.proxies.is_silent(writer, HELD_ANSWER_S / 4), UPLOADS_S)
        return self._writer, puts

    def _take_over(self, dice: random.Random) -> None:
        """Let another writer take the session over, from the same home or another, and save a newer state.

        No file of it is the same, so that whatever the first one still writes makes a mixture.
        """
        home = dice.choice(("first", "second"))
        self._edit(Edit.ALL)
        self._writer = self._start("--take-over", home=home)
        self._scene.tell(f"         {self._writer.pid} takes over, from the {home} home")
        self._settle()

    def _loses(self, old: Writer) -> None:
        """Expect a writer that was taken over to end, and to say so."""
        self._scene.proxies.let_go(old.pid)
        if old.ends(END_S) != LOCKED:
            self._unexpected(f"a writer that was taken over did not end as such: {old.last_words()}")
            old.kill()

    def _start(self, *options: str, home: str = "first") -> Writer:
        scene = self._scene
        return scene.writers.start(lambda: scene.place.home(home), scene.world.root, *options)

    def _edit(self, edit: Edit) -> None:
        self._scene.world.edit(edit)

    def _settle(self, patience_s: float = SETTLE_S) -> None:
        """Wait until cluster and store are what the disk is, without a fence; the writer has to run on."""
        witnesses, violations = self._scene.witnesses, self._scene.violations
        number = self._scene.world.newest.number
        is_last = patience_s == 0
        wait_for(lambda: not witnesses.difference() or not (self._writer.is_alive or is_last), patience_s)
        if not self._writer.is_alive and not is_last:
            self._unexpected(f"a writer ended: {self._writer.last_words()}")
            self._writer = self._start()
            wait_for(lambda: not witnesses.difference(), patience_s)
        difference = witnesses.difference()
        if not difference:
            return
        if witnesses.fence():
            violations.add(violations.fences_left, witnesses.fence())
        violations.add(violations.mismatches, f"save {number}: {difference}; {self._writer.last_words()}")
        self._stuck += 1
        if self._stuck >= STUCK_MAX:
            raise StuckError(f"{STUCK_MAX} saves did not arrive")

    def _fault(self, kind: Kind, what: str) -> None:
        scene = self._scene
        fault = Fault(at=scene.violations.clock(), save=scene.world.newest.number, kind=kind.value, what=what)
        scene.faults.append(fault)
        scene.tell(f"{fault.at:7.1f} s save {fault.save:3} {fault.kind}: {what}")

    def _unexpected(self, what: str) -> None:
        self._scene.violations.add(self._scene.violations.unexpected, what)
        self._scene.tell(f"         unexpected: {what}")
