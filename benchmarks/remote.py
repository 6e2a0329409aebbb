"""A save to a cluster that is far away, alongside a floor over the same path, and the round trips of both.

The developer reaches the API server and the store through a network with a round trip of 150 ms; Flux is as
near to the store as ever. The network counts how many round trips of a save lie one after another, whoever
needs them.
"""

from __future__ import annotations

import base64
import json
import time
from dataclasses import replace
from typing import Any

import yaml

from benchmarks.figures import p50, steps_p50
from benchmarks.floor import floor
from benchmarks.session import Bench, Session, session
from benchmarks.targets import make_target
from gitops_run.model.names import WRITER_SECRET, SessionName
from gitops_run.sandbox.state import LOOPBACK, write_private
from tests.people import Running
from tests.remote.network import Exchange, Network, in_sequence

ROUND_TRIP_S = 0.15
OBJECTS = 10
ROUNDS = 2
SAVES = 10
REST_S = 1.0


def measure_remote(bench: Bench) -> dict[str, Any]:
    """Measure saves and the floor by turns, over the same path."""
    root = make_target(bench.folder / "remote", OBJECTS)
    with Network() as network, session(far_away(bench, network), "remote", root) as made:
        move_store(made, network)
        network.round_trip_s = ROUND_TRIP_S
        floors: list[float] = []
        trips: list[int] = []
        for _ in range(ROUNDS):
            with made.synced() as sync:
                made.save(sync, 1)  # opens connections
                made.saves.pop()
                made.applied.pop()
                trips += [_round_trips(network.exchanges, made, sync) for _ in range(SAVES)]
            floors += floor(made, SAVES)
        network.round_trip_s = 0.0
        figures = {
            "save_p50_ms": p50(made.saves),
            "floor_p50_ms": p50(floors),
            "round_trips": p50(trips),
            "round_trip_ms": round(ROUND_TRIP_S * 1000),
            "steps_p50_ms": steps_p50(made.applied),
        }
    return {"remote": figures}


def _round_trips(exchanges: list[Exchange], made: Session, sync: Running) -> int:
    """Save once the last save's notes are written, and count the round trips until the verdict."""
    time.sleep(REST_S)
    began = time.monotonic()
    made.save(sync, 1)
    return in_sequence(exchanges, began, time.monotonic())


def far_away(bench: Bench, network: Network) -> Bench:
    """Lead people through a network to the API server."""
    sandbox = bench.sandbox
    config = yaml.safe_load(sandbox.kubeconfig.read_text(encoding="utf-8"))
    for cluster in config["clusters"]:
        cluster["cluster"]["server"] = f"https://{LOOPBACK}:{network.tunnel(sandbox.ports['kube-apiserver'])}"
    settings = yaml.safe_load(sandbox.settings.read_text(encoding="utf-8"))
    kubeconfig, settings_file = bench.folder / "remote-kubeconfig", bench.folder / "remote-settings.yaml"
    write_private(kubeconfig, yaml.safe_dump(config))
    write_private(settings_file, yaml.safe_dump({**settings, "kubeconfig": str(kubeconfig)}))
    env = {"GITOPS_RUN_SETTINGS": str(settings_file), "KUBECONFIG": str(kubeconfig)}
    return replace(bench, env=env)


def move_store(made: Session, network: Network) -> None:
    """Lead the writer, and not Flux, through a network to the store."""
    endpoint = f"https://{LOOPBACK}:{network.tunnel(made.bench.sandbox.ports['store'])}"
    patch = {"data": {"endpoint": base64.b64encode(endpoint.encode()).decode()}}
    namespace = SessionName.parse(made.name).namespace
    made.person.kubectl("patch", "secret", WRITER_SECRET, "-n", namespace, "-p", json.dumps(patch))
