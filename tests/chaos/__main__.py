"""`python -m tests.chaos --saves 150 --seed N`: saves under faults, on a sandbox of its own.

Exits with 1 where a tree was torn, an object was wrongly pruned, cluster, store and disk differ once quiet, a
writer wrote after it was taken over, a fence is left, or a writer ended unexpectedly. The same seed plans the
same faults.
"""

from __future__ import annotations

import argparse
import json
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType

from tests.chaos import place as places
from tests.chaos.episodes import Episodes, Scene, StuckError
from tests.chaos.mutant import MUTATIONS
from tests.chaos.proxies import Proxies
from tests.chaos.report import Report
from tests.chaos.schedule import SAVES_MIN, schedule
from tests.chaos.witnesses import Violations, Witnesses, late_writes
from tests.chaos.world import World
from tests.chaos.writers import INTERRUPTED, Writers

TIME_LIMIT_PER_SAVE_S = 20.0
"""A run ends after this long for each save, whatever is left of it: 50 minutes for 150."""


def main() -> int:
    arguments = _arguments()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    _tell(f"seed {arguments.seed}")
    try:
        with _folder(is_kept=arguments.keep) as folder, ExitStack() as stack:
            scene = _set_up(folder, arguments.mutate, stack)
            report = _play(scene, arguments)
    except KeyboardInterrupt:
        _tell("interrupted; everything that was started was ended")
        return INTERRUPTED
    for line in report.lines():
        _tell(line)
    if arguments.json:
        arguments.json.write_text(json.dumps(report.to_json(), indent=2) + "\n")
    return 0 if report.is_passed else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__.partition("\n")[0])
    parser.add_argument("--saves", type=int, default=150, help=f"How many saves; {SAVES_MIN} at least.")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6), help="Decides every fault.")
    parser.add_argument("--json", type=Path, help="Also write the result to this file.")
    parser.add_argument(
        "--mutate", choices=sorted(MUTATIONS), default="", help="Take a guard out of the writers."
    )
    parser.add_argument("--keep", action="store_true", help="Leave the folder with all logs.")
    arguments = parser.parse_args()
    if arguments.saves < SAVES_MIN:
        parser.error(f"--saves must be {SAVES_MIN} at least, so that each kind of fault occurs")
    return arguments


def _set_up(folder: Path, mutation: str, stack: ExitStack) -> Scene:
    """Start everything, and leave to the stack how it is ended."""
    stack.callback(places.stop, folder)
    sandbox = places.start(folder)
    (folder / "logs").mkdir()
    writers = Writers(folder / "logs", mutation)
    proxies = Proxies(sandbox, writers.pids)
    stack.callback(proxies.close)
    place = places.through_proxies(folder, sandbox, *proxies.start())
    world = World(folder / "root", folder / "staging")
    place.up(world.root)
    began = time.monotonic()
    violations = Violations(lambda: time.monotonic() - began)
    witnesses = Witnesses(place, world, violations)
    stack.callback(witnesses.close)
    stack.callback(writers.end_all)
    return Scene(
        place=place,
        world=world,
        proxies=proxies,
        writers=writers,
        witnesses=witnesses,
        violations=violations,
        tell=_tell,
    )


def _play(scene: Scene, arguments: argparse.Namespace) -> Report:
    began = time.monotonic()
    violations = scene.violations
    try:
        episodes = Episodes(scene)
        for episode in schedule(arguments.saves, arguments.seed):
            episodes.play(episode, arguments.saves * TIME_LIMIT_PER_SAVE_S)
        episodes.end()
    except (StuckError, AssertionError) as error:
        violations.add(violations.unexpected, f"the run was ended: {error}")
    requests = list(scene.proxies.requests)
    violations.late_writes += late_writes(requests, scene.witnesses.fences, began)
    return Report(
        seed=arguments.seed,
        mutation=arguments.mutate,
        planned=arguments.saves,
        saves=scene.world.newest.number,
        seconds=time.monotonic() - began,
        artifacts=scene.witnesses.artifacts,
        writes=sum(1 for request in requests if request.is_write),
        faults=scene.faults,
        violations=violations,
    )


@contextmanager
def _folder(*, is_kept: bool) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="gitops-run-chaos-"))
    try:
        yield folder
    finally:
        if is_kept:
            _tell(f"logs are in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """End the run, once: a second signal must not keep it from ending what it started."""
    for handled in (signal.SIGINT, signal.SIGTERM):
        signal.signal(handled, signal.SIG_IGN)
    raise KeyboardInterrupt


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
