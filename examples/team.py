"""Create the sessions of a team, several at once, end them, or write their stack files.

python team.py up team.yaml; python team.py down team.yaml; python team.py stacks team.yaml
"""

import argparse
import os
import sys
from pathlib import Path

import anyio

from gitops_run.api import team
from gitops_run.api.caller import Caller
from gitops_run.errors import GitOpsRunError


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("action", choices=("up", "down", "stacks"))
    parser.add_argument("file", type=Path, help="the team: sessions with owner, context, target and limits")
    parser.add_argument("--at-once", type=int, default=team.AT_ONCE, help="how many at the same time")
    said = parser.parse_args()
    caller = Caller(environment=os.environ, here=Path.cwd(), report=print)
    members = team.read_team(said.file.absolute())
    if said.action == "stacks":
        print(*team.write_stack_files(members, caller), sep="\n")
        return 0
    results: list[team.Result] = []

    def report(result: team.Result) -> None:
        results.append(result)
        took = f"{result.did} in {result.took_s:.1f} s"
        print(f"{len(results):3}/{len(members)} {result.name}: {took}", flush=True)
        if result.error:
            print(f"        {result.error.message}\n        {result.error.hint}", flush=True)

    work = team.up if said.action == "up" else team.down
    try:
        anyio.run(lambda: work(members, caller, report, at_once=said.at_once))
    except KeyboardInterrupt:
        print(f"interrupted after {len(results)} of {len(members)}: run the same command again to continue")
        return 130
    failed = [result.name.text for result in results if result.error]
    print(f"failed: {', '.join(failed)}" if failed else f"all {len(members)} done")
    return int(bool(failed))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except GitOpsRunError as error:
        sys.exit(f"{error.message}\n{error.hint}")
