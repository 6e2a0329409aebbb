"""What gc removes from a store of a session that is gone: its bucket and its keys."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field, replace

import anyio
import pytest

from gitops_run.api import collector
from gitops_run.model.names import SessionName
from gitops_run.model.session.settings import Origin, Source, resolve
from gitops_run.model.state.session_state import SessionState
from tests.unit.test_gc import HALF, collecting, found


@dataclass
class Store:
    """The store of a collector: what was done there, in order. Stands for its buckets and its accounts."""

    did: list[str] = field(default_factory=list)

    def close(self, bucket: str) -> None:
        self.did.append(f"close {bucket}")

    def empty(self, bucket: str) -> None:
        self.did.append(f"empty {bucket}")

    def remove(self, name: str) -> None:
        self.did.append(f"remove {name}")


OLD = SessionName.parse("old").bucket("uid")


@pytest.mark.parametrize(
    ("stored", "now", "did"),
    [
        (OLD, (), [f"close {OLD}", f"empty {OLD}", f"remove {OLD}"]),
        (f"{OLD}-writer", (), [f"remove {OLD}-writer"]),
        (OLD, (replace(HALF, name="old", namespace="team-a"),), []),
    ],
)
def test_gc_removes_a_bucket_or_key_of_a_session_that_is_still_gone(
    monkeypatch: pytest.MonkeyPatch, stored: str, now: tuple[SessionState, ...], did: list[str]
) -> None:
    store = Store()

    async def list_states(*_: object, is_complete: bool) -> tuple[SessionState, ...]:
        assert is_complete
        return now

    monkeypatch.setattr(collector, "list_states", list_states)
    monkeypatch.setattr(collector, "open_store", lambda _: nullcontext(store))
    monkeypatch.setattr(collector, "open_keys", lambda _: nullcontext(store))
    (finding,) = found(stored=[stored])
    values = {"endpoint": "https://s3.example.com", "accessKey": "A", "secretKey": "S", "store": "s3"}
    settings = resolve(
        [Source(origin=Origin.FLAG, values={"context": "kind-a", "kubeconfig": "/k", **values})]
    )
    assert anyio.run(replace(collecting([]), settings=settings).discard, finding) is bool(did)
    assert store.did == did
