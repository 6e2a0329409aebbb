"""What the end of a session claims: only what was seen to be gone, and nothing of what nobody could see."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from gitops_run.adapters.cluster import remains
from gitops_run.adapters.cluster.connection import ConflictError
from gitops_run.adapters.cluster.remains import SessionCluster
from gitops_run.errors import BackendError, GitOpsRunError, GuardError, NotFound, TransientError
from gitops_run.flows.lifecycle import Ports, down
from gitops_run.model.names import SessionName
from gitops_run.model.session.hindrance import Hindrance
from gitops_run.model.session.key import SessionKey
from gitops_run.model.session.receipt import Receipt, ReceiptLine
from gitops_run.model.session.request import SessionRequest
from gitops_run.model.session.settings import Origin, Source, resolve
from gitops_run.model.session.spec import ClusterFacts
from gitops_run.model.stack.events import StackOutcome
from gitops_run.model.store.objects import StoreAccess

KEY = SessionKey(kubeconfig="config", context="kind-dev", namespace="run-web", name=SessionName.parse("web"))
NAMESPACE = "/api/v1/namespaces/run-web"
BUCKET = "/apis/source.toolkit.fluxcd.io/v1/namespaces/run-web/buckets/web"
FORBIDDEN = BackendError("the cluster refuses: forbidden")


@dataclass
class FakeApi:
    """answers: by path, what is there or what is raised; an absent path is not found."""

    answers: dict[str, dict[str, Any] | GitOpsRunError] = field(default_factory=dict)

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        answer = self.answers.get(path, NotFound(path))
        if isinstance(answer, GitOpsRunError):
            raise answer
        is_of_helm = (query or {}).get("labelSelector", "").startswith("helm")
        return {"items": []} if is_of_helm else answer


def receipt_of(
    monkeypatch: pytest.MonkeyPatch, answers: dict[str, dict[str, Any] | GitOpsRunError]
) -> Receipt:
    @asynccontextmanager
    async def connect(*_: str) -> AsyncIterator[FakeApi]:
        yield FakeApi(answers)

    monkeypatch.setattr(remains, "connect", connect)
    return Receipt(lines=asyncio.run(SessionCluster(KEY).remains()))


def test_what_the_cluster_no_longer_has_is_gone_and_so_is_a_kind_that_it_does_not_serve(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    receipt = receipt_of(monkeypatch, {})
    assert all(line.is_gone for line in receipt.lines)
    assert (receipt.left, receipt.unseen) == ((), ())


def test_what_is_there_is_left_and_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    pods = f"{NAMESPACE}/pods"
    receipt = receipt_of(monkeypatch, {NAMESPACE: {}, pods: {"items": [{"metadata": {"name": "p"}}]}})
    assert receipt.left == ("the objects that web applied in run-web: p", "Namespace run-web")


@pytest.mark.parametrize(
    "path", [BUCKET, f"{NAMESPACE}/pods", "/apis/apps/v1/namespaces/run-web/deployments"]
)
def test_what_this_user_may_not_see_is_not_gone(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    receipt = receipt_of(monkeypatch, {path: FORBIDDEN, NAMESPACE: {}})
    assert receipt.left == ("Namespace run-web",)
    assert len(receipt.unseen) == 1
    assert "forbidden" in receipt.unseen[0]


def test_what_this_user_may_not_see_is_gone_where_its_namespace_is(monkeypatch: pytest.MonkeyPatch) -> None:
    receipt = receipt_of(monkeypatch, {BUCKET: FORBIDDEN, f"{NAMESPACE}/pods": FORBIDDEN})
    assert all(line.is_gone for line in receipt.lines)
    assert receipt.unseen == ()


def test_a_namespace_that_this_user_may_not_see_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    receipt = receipt_of(monkeypatch, {NAMESPACE: FORBIDDEN, BUCKET: FORBIDDEN})
    assert [line.what for line in receipt.lines if line.unseen] == ["Bucket web", "Namespace run-web"]
    assert receipt.left == ()


def test_what_is_seen_is_named_though_something_else_may_not_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: dict[str, dict[str, Any] | GitOpsRunError] = {
        NAMESPACE: {},
        f"{NAMESPACE}/secrets": FORBIDDEN,
        f"{NAMESPACE}/pods": {"items": [{"metadata": {"name": "p"}}]},
    }
    assert "the objects that web applied in run-web: p" in receipt_of(monkeypatch, answers).left


@pytest.mark.parametrize("path", [BUCKET, f"{NAMESPACE}/pods", NAMESPACE])
def test_a_cluster_that_fails_is_an_error_and_no_answer(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    with pytest.raises(TransientError):
        receipt_of(monkeypatch, {path: ConflictError("not now")})


APIS: dict[str, Any] = {
    "/apis": {"groups": [{"preferredVersion": {"groupVersion": "example.com/v1"}}]},
    "/api/v1": {
        "resources": [{"name": "namespaces", "verbs": ["list"]}, {"name": "pods/log", "verbs": ["get"]}]
    },
    "/apis/example.com/v1": {"resources": [{"name": "widgets", "verbs": ["list"]}]},
}
BINDING = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/gitops-run-run-web"


def elsewhere_of(monkeypatch: pytest.MonkeyPatch, answers: dict[str, Any]) -> Receipt:
    @asynccontextmanager
    async def connect(*_: str) -> AsyncIterator[FakeApi]:
        yield FakeApi({**APIS, **answers})

    monkeypatch.setattr(remains, "connect", connect)
    return Receipt(lines=asyncio.run(SessionCluster(KEY).remains_elsewhere()))


def test_every_kind_of_the_cluster_is_searched_for_what_a_session_has_applied(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    left = {"items": [{"metadata": {"name": "w"}}]}
    assert elsewhere_of(monkeypatch, {}).left == ()
    assert elsewhere_of(monkeypatch, {"/apis/example.com/v1/widgets": left, BINDING: {}}).left == (
        "the objects that web applied in the whole cluster: w",
        "ClusterRoleBinding gitops-run-run-web",
    )


@dataclass
class FakeStacks:
    calls: list[str] = field(default_factory=list)

    async def destroy(self, name: str, tell: Any) -> StackOutcome:
        del name, tell
        self.calls.append("destroy")
        return StackOutcome(outputs={}, changed=1, has_pending=False)

    async def known(self, name: str, tell: Any) -> None:
        del name, tell

    async def forget(self, name: str) -> None:
        del name
        self.calls.append("forget")


@dataclass
class FakeCluster:
    """remains_or_error: what is left, or what asking for it raises. fails: what the first look raises."""

    remains_or_error: tuple[ReceiptLine, ...] | GitOpsRunError = ()
    fails: GitOpsRunError | None = None

    async def facts(self) -> ClusterFacts:
        if self.fails:
            raise self.fails
        return ClusterFacts(uid="uid", user="jane")

    async def drain(self) -> None:
        pass

    async def hindrances(self) -> tuple[Hindrance, ...]:
        return ()

    async def remains(self) -> tuple[ReceiptLine, ...]:
        if isinstance(self.remains_or_error, GitOpsRunError):
            raise self.remains_or_error
        return self.remains_or_error


@contextmanager
def no_store(access: StoreAccess) -> Iterator[Any]:
    raise AssertionError(access)
    yield


def end(cluster: FakeCluster) -> tuple[Receipt | GitOpsRunError, list[str]]:
    """End session web, and return what came of it and what was done to its stack."""
    stacks = FakeStacks()
    values = {"kubeconfig": "config", "context": "kind-dev", "target": ".", "root": "shop"}
    settings = resolve([Source(origin=Origin.FLAG, values=values)])
    request = SessionRequest(key=SessionKey.of(KEY.name, settings), settings=settings, ca="", now="now")
    ports = Ports(
        stacks=stacks,  # type: ignore[arg-type]  # what ending one asks of it
        cluster=cluster,  # type: ignore[arg-type]
        open_store=no_store,
        open_keys=no_store,
        declare=lambda _: None,
    )
    try:
        return asyncio.run(down(request, ports, lambda _: None)), stacks.calls
    except GitOpsRunError as error:
        return error, stacks.calls


GONE = ReceiptLine(what="Namespace run-web", is_gone=True)


def test_a_session_that_is_seen_to_be_gone_gives_its_receipt() -> None:
    assert end(FakeCluster((GONE,))) == (Receipt(lines=(GONE,)), ["destroy", "forget"])


def test_a_session_of_which_nobody_may_see_whether_it_is_gone_is_not_told_gone() -> None:
    hidden = ReceiptLine(what="Namespace run-web", is_gone=False, unseen="forbidden")
    found, _ = end(FakeCluster((hidden,)))
    assert isinstance(found, BackendError)
    assert found.exit_code == 6
    assert "you may not check whether these are gone: Namespace run-web (forbidden)" in found.message
    assert "kubectl get namespace run-web" in found.hint


def test_a_cluster_that_fails_after_the_end_leaves_it_open_whether_all_is_gone() -> None:
    found, calls = end(FakeCluster(TransientError("no answer", hint="look at it")))
    assert isinstance(found, BackendError)
    assert "session web is down, but it could not be checked whether these remain" in found.message
    assert (found.hint, calls) == ("look at it", ["destroy", "forget"])


def test_a_cluster_that_is_away_changes_nothing_and_the_hint_says_what_to_do_where_it_is_gone() -> None:
    found, calls = end(FakeCluster(fails=TransientError("no answer", hint="check it")))
    assert isinstance(found, TransientError)
    assert found.hint == "check it; if it is gone for good: gitops-run down NAME --cluster-gone"
    assert calls == []


def test_a_refusal_gets_no_such_hint() -> None:
    found, _ = end(FakeCluster(fails=GuardError("not yours", hint="ask")))
    assert isinstance(found, GuardError)
    assert found.hint == "ask"
