"""Compare thousands of generated trees with Flux: `python -m tests.generated --cases 5000 --seed 1`."""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.generated.charts import chart_trees
from tests.generated.comparing import Compared, compared
from tests.generated.comparing_charts import compared_chart
from tests.generated.drafts import GeneratedTree
from tests.generated.kustomizations import kustomize_trees
from tests.generated.oracles import build_flux, build_helm
from tests.generated.running import trees_of
from tests.programs import helm_folder

CHARTS_SHARE = 0.3
"""Of the cases, how many are charts."""
KINDS = {"false refusal": "false_refusals", "false pass": "false_passes"}


def main() -> int:
    options = _options()
    counts: Counter[str] = Counter(dict.fromkeys(("generated_cases", *KINDS.values(), "differences"), 0))
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        os.environ["PATH"] = f"{helm_folder()}{os.pathsep}{os.environ['PATH']}"
        charts = int(options.cases * CHARTS_SHARE)
        with build_flux(work) as flux, build_helm(work) as helm:
            for tree in trees_of(kustomize_trees(), options.seed, options.cases - charts):
                _count(counts, tree, compared(tree, flux, work / "case"), options.keep)
            for tree in trees_of(chart_trees(), options.seed, charts):
                _count(counts, tree, compared_chart(tree, helm, work / "case"), options.keep)
    print(json.dumps(dict(counts), indent=1))
    return 1 if any(counts[name] for name in ("false_refusals", "false_passes", "differences")) else 0


def _count(counts: Counter[str], tree: GeneratedTree, found: Compared, keep: Path | None) -> None:
    counts["generated_cases"] += 1
    counts["refused"] += found.is_refused
    counts["objects"] += found.objects
    counts["unchecked_objects"] += found.unchecked
    for finding in found.findings:
        name = KINDS.get(finding.kind, "differences")
        counts[name] += 1
        fault = f" ({tree.fault.name})" if tree.fault else ""
        print(f"case {counts['generated_cases']}: {finding.kind}{fault}: {finding.told}", flush=True)
    if found.findings and keep is not None:
        tree.write(keep / str(counts["generated_cases"]))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.generated", description=__doc__)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--keep", type=Path, help="a folder for the trees that differ")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    return options


if __name__ == "__main__":
    sys.exit(main())
