"""Which faults a run injects, in which order and with which figures: a function of the seed alone."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum

SAVES_MIN = 20
SAVES_PER_ROUND = 30
"""A run of 150 saves has five rounds, each with every kind of fault once."""


class Kind(StrEnum):
    """A kind of fault."""

    NONE = "no fault"
    KILLED = "writer killed"
    KILLED_AMID_UPLOADS = "writer killed amid uploads"
    STOPPED = "writer stopped for 20 s"
    STOPPED_AND_TAKEN_OVER = "writer stopped and taken over"
    CUT_OFF_AND_TAKEN_OVER = "writer cut off from the API server and taken over"
    TWO_WRITERS = "two writers"
    SLOW_STORE = "slow store"
    SOURCE_CONTROLLER = "source-controller restarted"
    KUSTOMIZE_CONTROLLER = "kustomize-controller restarted"
    STORE = "S3 server restarted"
    API_SERVER = "API server restarted"
    ETCD = "etcd restarted"


SAVES: dict[Kind, int] = {
    **dict.fromkeys(Kind, 1),
    Kind.STOPPED: 2,
    Kind.STOPPED_AND_TAKEN_OVER: 3,
    Kind.CUT_OFF_AND_TAKEN_OVER: 3,
    Kind.TWO_WRITERS: 3,
}
"""How many saves belong to a fault of each kind."""
PARTS = {
    Kind.SOURCE_CONTROLLER: "source-controller",
    Kind.KUSTOMIZE_CONTROLLER: "kustomize-controller",
    Kind.STORE: "versitygw",
    Kind.API_SERVER: "kube-apiserver",
    Kind.ETCD: "etcd",
}
FAULTS = tuple(kind for kind in Kind if kind is not Kind.NONE)


@dataclass(frozen=True, slots=True)
class Episode:
    """One fault and the saves around it. dice: decides its figures."""

    kind: Kind
    dice: random.Random


def schedule(saves: int, seed: int) -> list[Episode]:
    """Plan a run. saves: SAVES_MIN at least."""
    dice = random.Random(seed)
    rounds = max(1, saves // SAVES_PER_ROUND)
    plain = saves - rounds * sum(SAVES[kind] for kind in FAULTS)
    kinds: list[Kind] = []
    for turn in range(rounds):
        share = plain // rounds + (turn < plain % rounds)
        kinds += dice.sample([*FAULTS, *[Kind.NONE] * share], len(FAULTS) + share)
    return [Episode(kind, random.Random(f"{seed}/{index}")) for index, kind in enumerate(kinds)]
