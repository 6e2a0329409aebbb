"""What a session's state and record cost: how often they are written, and how large they become.

One save a second, as people make them who try something out. The target has a Secret and a value from an
env file, neither of which may be in either.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import anyio

from benchmarks.session import Bench, session
from benchmarks.targets import make_target
from gitops_run.adapters.cluster.connection import connect
from gitops_run.adapters.cluster.reflector import Seen, reflect
from gitops_run.model.names import LOOP_KEY, RECORD_MAP, STATE_MAP

SAVES = 30
EVERY_S = 1.0
CANARY = "c4nary-of-the-benchmark"
SECRET = f"apiVersion: v1\nkind: Secret\nmetadata: {{name: canary}}\nstringData: {{p: {CANARY}-%s}}\n"


def measure_record(bench: Bench) -> dict[str, Any]:
    """Save again and again, and count what is written."""
    root = make_target(bench.folder / "record", 9)
    kustomization = root / "kustomization.yaml"
    kustomization.write_text(f"{kustomization.read_text()}  - canary.yaml\n")
    (root / "canary.yaml").write_text(SECRET % "first")
    with session(bench, "record", root) as made:
        written: dict[str, list[str]] = {STATE_MAP: [], RECORD_MAP: []}
        with made.synced() as sync:
            following = threading.Thread(
                target=anyio.run, args=(_follow, bench, "run-bench-record", written), daemon=True
            )
            following.start()
            for number in range(SAVES):
                began = time.monotonic()
                (root / "canary.yaml").write_text(SECRET % number)
                made.save(sync, 1)
                time.sleep(max(0.0, EVERY_S - (time.monotonic() - began)))
            sync.interrupt()
        time.sleep(EVERY_S)
    texts = {name: [text for text in found if text] for name, found in written.items()}
    everything = "".join(text for found in texts.values() for text in found)
    return {
        "record": {
            "writes_per_save": round(sum(map(len, texts.values())) / SAVES, 2),
            "state_bytes": max(len(text.encode()) for text in texts[STATE_MAP]),
            "record_bytes": max(len(text.encode()) for text in texts[RECORD_MAP]),
            "masked_canaries_found": everything.count(CANARY),
        }
    }


async def _follow(bench: Bench, namespace: str, written: dict[str, list[str]]) -> None:
    """Keep every text of both, until the process ends."""
    async with (
        connect(bench.kubeconfig, bench.sandbox.context) as connection,
        anyio.create_task_group() as tasks,
    ):
        for name, texts in written.items():
            tasks.start_soon(_follow_one, connection, namespace, name, texts)


async def _follow_one(connection: Any, namespace: str, name: str, texts: list[str]) -> None:
    selector = {"fieldSelector": f"metadata.name={name}"}
    async for news in reflect(connection, f"/api/v1/namespaces/{namespace}/configmaps", selector):
        if isinstance(news, Seen):
            text = (news.live.get("data") or {}).get(LOOP_KEY, "")
            texts += [str(text)]
