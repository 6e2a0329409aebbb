"""`python -m tests.corpus`: every target through real Flux, on a sandbox of its own.

Prints the figures as JSON, and exits with 1 where the preview was wrong about any target.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path

import yaml

from benchmarks.__main__ import RESULTS
from gitops_run.sandbox import lifecycle
from gitops_run.sandbox.state import NodeKind
from tests.conftest import homes
from tests.corpus.figures import figures, is_passed
from tests.corpus.kinds import KINDS
from tests.corpus.modules import Module, copy_of, fetch
from tests.corpus.table import MODULES
from tests.corpus.trial import Outcome, tried
from tests.people import Person

SANDBOX = "corpus"
WORKERS = 3
TOLD_MAX = 2_000


def main(arguments: Sequence[str]) -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a sandbox outlives one who doesn't stop it
    parser = argparse.ArgumentParser(prog="python -m tests.corpus", description=__doc__)
    parser.add_argument("--only", default="", help="A part of the names of modules and targets.")
    parser.add_argument("--json", type=Path, help="Also write what came of each target to this file.")
    parser.add_argument("--latest", action="store_true", help="Keep the figures in benchmarks/results.")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="gitops-run-corpus-") as folder:
        outcomes = try_all(Path(folder), options.only)
    if options.json:
        options.json.write_text(json.dumps([asdict(one) for one in outcomes], indent=1) + "\n")
    found = figures(outcomes)
    _tell(json.dumps({"corpus": found}))
    if options.latest:
        latest = json.loads(RESULTS.read_text())
        latest["corpus"] = {**latest.get("corpus", {}), **found}
        RESULTS.write_text(json.dumps(latest, indent=2) + "\n")
    return 0 if is_passed(outcomes) else 1


def try_all(folder: Path, only: str) -> list[Outcome]:
    """Try the targets: those of a module one after another, since they apply the same objects.

    Some bring webhooks for all of the cluster, which disturb others while they last. A module that was
    disturbed is tried again when nothing else is.
    """
    pool = ThreadPoolExecutor(WORKERS)
    sandbox = lifecycle.start(SANDBOX, folder / "sandbox", _tell, NodeKind.SIMULATED)
    try:
        home = folder / "home"
        home.mkdir()
        person = Person(env={**os.environ, **sandbox.env, **homes(home)}, cwd=home)
        kinds = home / "kinds.yaml"
        kinds.write_text(yaml.safe_dump_all(KINDS))
        person.kubectl("apply", "-f", str(kinds))
        fetched = fetch(MODULES)
        try_module = partial(_try_module, person, folder, fetched, only)
        found = list(pool.map(try_module, MODULES))
        again = [
            try_module(module, is_again=True) if any(map(_is_disturbed, outcomes)) else outcomes
            for module, outcomes in zip(MODULES, found, strict=True)
        ]
        return [outcome for outcomes in again for outcome in outcomes]
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        lifecycle.stop(SANDBOX, folder / "sandbox")


def _try_module(
    person: Person,
    folder: Path,
    fetched: Mapping[str, Path],
    only: str,
    module: Module,
    *,
    is_again: bool = False,
) -> list[Outcome]:
    targets = [target for target in module.paths if only in f"{module.path}/{target}"]
    if not targets:
        return []
    name = f"{'again' if is_again else 'c'}{MODULES.index(module)}"
    root = copy_of(module, fetched[module.path], folder / name)
    outcomes: list[Outcome] = []
    for outcome in _all_tried(person, name, root, targets):
        outcome.target = f"{module.path}/{outcome.target}"
        told = f"{outcome.objects} objects, {len(outcome.not_checked)} not checked"
        details = " ".join([outcome.reason, json.dumps(outcome.faults) if outcome.faults else ""])
        _tell(f"{outcome.verdict} {outcome.target}: {told} {details[:TOLD_MAX]}".rstrip())
        outcomes.append(outcome)
    return outcomes


def _all_tried(person: Person, name: str, root: Path, targets: Sequence[str]) -> Iterator[Outcome]:
    try:
        yield from tried(person, name, root, targets)
    except Exception as error:  # noqa: BLE001 - one module's failure must not end the others
        yield Outcome("", "unfinished", f"{type(error).__name__}: {error}")


def _is_disturbed(outcome: Outcome) -> bool:
    return outcome.verdict == "unfinished" or "failed calling webhook" in f"{outcome.reason}{outcome.faults}"


def _tell(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
