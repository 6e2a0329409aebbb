"""The session's component, on Pulumi's mocks: what it declares, and in which order it goes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import pulumi
import pytest
from pulumi.runtime import rpc

from gitops_run.declare.program import declare_session
from gitops_run.declare.session import Session
from gitops_run.model.names import SessionName
from gitops_run.model.session.spec import (
    AwsStore,
    ClusterPin,
    InClusterStore,
    S3Store,
    SessionSpec,
    Store,
)
from gitops_run.model.store.keys import GivenKeys, KeyPair
from gitops_run.plugins.gitops_run import bucket_keys
from gitops_run.plugins.gitops_run.credentials import OUTPUTS, TOKEN

ADMIN = KeyPair(access_key="ADMIN", secret_key="hunter1")
READER = KeyPair(access_key="RK", secret_key="hunter3")
KEY = KeyPair(access_key="AK", secret_key="hunter2")
OWN_STORE = S3Store(endpoint="https://s3:9000", region="us-east-1", admin=ADMIN)
GIVEN_STORE = replace(OWN_STORE, keys=GivenKeys(reader=READER, writer=KEY))

INSIDE = InClusterStore(namespace="run-web", region="us-east-1", image="registry/versitygw:v1")


class Recorder(pulumi.runtime.Mocks):
    """Answer the program, and remember what it declared."""

    def __init__(self) -> None:
        self.declared: dict[str, pulumi.runtime.MockResourceArgs] = {}

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        self.declared[args.name] = args
        outputs = {TOKEN: OUTPUTS, bucket_keys.TOKEN: bucket_keys.OUTPUTS}.get(args.typ, ())
        made = {name: f"{name}-made" for name in outputs}
        return f"{args.name}-id", {**args.inputs, **made}

    def call(self, args: pulumi.runtime.MockCallArgs) -> tuple[dict[Any, Any], None]:
        return {}, None


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Recorder]:
    """A recorder, and every event loop that Pulumi's mocks leave open closed after the test."""
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path))
    loops: list[asyncio.AbstractEventLoop] = []
    make = asyncio.new_event_loop

    def make_and_note() -> asyncio.AbstractEventLoop:
        loops.append(make())
        return loops[-1]

    monkeypatch.setattr(asyncio, "new_event_loop", make_and_note)
    monkeypatch.setattr(asyncio.events, "new_event_loop", make_and_note)
    yield Recorder()
    for loop in loops:
        loop.close()


def run(recorder: Recorder, program: Callable[[], object]) -> None:
    """Run a program on mocks, in an event loop that is closed afterwards."""

    async def main() -> None:
        pulumi.runtime.set_mocks(recorder, project="gitops-run", stack="web", preview=False)
        program()
        await pulumi.runtime.stack.wait_for_rpcs()
        pulumi.runtime.settings.reset_options()

    asyncio.run(main())


def spec_on(store: Store) -> SessionSpec:
    return SessionSpec(
        name=SessionName.parse("web"),
        namespace="run-web",
        owner="jane@example.com",
        target="deploy",
        root="shop",
        created="2026-11-23T20:00:00Z",
        cluster=ClusterPin(kubeconfig="/k", context="kind-a", uid="uid"),
        store=store,
    )


def declare(recorder: Recorder, spec: SessionSpec) -> dict[str, set[str]]:
    """Declare a session, and return the names of what each resource is made after."""
    after: dict[str, set[str]] = {}

    def record(args: pulumi.ResourceTransformationArgs) -> None:
        needed = args.opts.depends_on or []
        after[args.name] = {resource._name for resource in cast("Sequence[pulumi.Resource]", needed)}

    run(recorder, lambda: Session(spec, pulumi.ResourceOptions(transformations=[record])))
    return after


def everything_before(name: str, after: dict[str, set[str]]) -> set[str]:
    found: set[str] = set()
    waiting = set(after[name])
    while waiting:
        one = waiting.pop()
        found.add(one)
        waiting |= after[one] - found
    return found


def test_it_goes_in_order_kustomization_source_secrets_access_bucket_namespace(recorder: Recorder) -> None:
    after = declare(recorder, spec_on(OWN_STORE))
    access = {"web-account", "web-applier", "web-applier-binding", "web-owner", "web-owner-binding"}
    order = [
        {"web-namespace"},
        {"web-bucket"},
        access,
        {"web-reader", "web-writer"},
        {"web-source"},
        {"web-kustomization"},
    ]
    for earlier, later in pairwise(order):
        assert all(earlier <= everything_before(name, after) for name in later)


def test_every_object_goes_to_the_pinned_cluster(recorder: Recorder) -> None:
    declare(recorder, spec_on(OWN_STORE))
    (cluster,) = [args for args in recorder.declared.values() if args.typ == "pulumi:providers:kubernetes"]
    assert cluster.inputs["context"] == "kind-a"
    assert cluster.inputs["clusterIdentifier"] == "uid"
    objects = [args for args in recorder.declared.values() if args.typ.startswith("kubernetes:")]
    assert all("$pulumi:providers:kubernetes::web::" in str(args.provider) for args in objects)


def test_the_types_are_those_of_pulumi_kubernetes(recorder: Recorder) -> None:
    declare(recorder, spec_on(OWN_STORE))
    assert recorder.declared["web-namespace"].typ == "kubernetes:core/v1:Namespace"
    assert recorder.declared["web-owner"].typ == "kubernetes:rbac.authorization.k8s.io/v1:Role"
    assert recorder.declared["web-source"].typ == "kubernetes:source.toolkit.fluxcd.io/v1:Bucket"


def test_the_secrets_get_their_keys_marked_as_secret(recorder: Recorder) -> None:
    declare(recorder, spec_on(GIVEN_STORE))
    wrapped = recorder.declared["web-writer"].inputs["stringData"]
    assert wrapped[rpc._special_sig_key] == rpc._special_secret_sig
    assert wrapped["value"]["secretkey"] == "hunter2"


def test_a_session_without_given_keys_gets_keys_that_the_store_makes_for_it_alone(recorder: Recorder) -> None:
    after = declare(recorder, spec_on(OWN_STORE))
    keys, bucket = recorder.declared["web-keys"].inputs, recorder.declared["web-bucket"].inputs
    assert (keys["bucket"], keys["accessKey"]) == (bucket["bucket"], "ADMIN")
    assert (bucket["readerAccessKey"], bucket["writerAccessKey"]) == (
        "readerAccessKey-made",
        "writerAccessKey-made",
    )
    for role in ("reader", "writer"):
        wrapped = recorder.declared[f"web-{role}"].inputs["stringData"]
        assert wrapped[rpc._special_sig_key] == rpc._special_secret_sig
        assert wrapped["value"]["secretkey"] == f"{role}SecretKey-made"
    assert "web-namespace" in everything_before("web-keys", after)


def test_a_session_with_given_keys_gets_no_others(recorder: Recorder) -> None:
    declare(recorder, spec_on(GIVEN_STORE))
    bucket = recorder.declared["web-bucket"].inputs
    assert "web-keys" not in recorder.declared
    assert (bucket["readerAccessKey"], bucket["writerAccessKey"]) == ("RK", "AK")


@pytest.mark.parametrize("store", [OWN_STORE, GIVEN_STORE])
def test_the_keys_of_an_s3_bucket_stand_in_its_two_secrets_and_nowhere_else(
    recorder: Recorder, store: S3Store
) -> None:
    declare(recorder, spec_on(store))
    others = [
        args.inputs for name, args in recorder.declared.items() if name not in {"web-reader", "web-writer"}
    ]
    told = repr(others)
    assert not [secret for secret in ("SecretKey-made", "hunter2", "hunter3") if secret in told]


def test_a_server_beside_the_session_starts_behind_its_policy_and_flux_waits_for_it(
    recorder: Recorder,
) -> None:
    after = declare(recorder, spec_on(INSIDE))
    assert {"web-server-policy", "web-server-secret", "web-namespace"} <= everything_before(
        "web-server", after
    )
    assert {"web-server", "web-server-service"} <= everything_before("web-source", after)
    assert not {"web-server"} & everything_before("web-writer", after)


def test_a_server_beside_the_session_is_trusted_by_its_own_authority_and_known_by_its_pod(
    recorder: Recorder,
) -> None:
    declare(recorder, spec_on(INSIDE))
    reader = recorder.declared["web-reader"].inputs["stringData"]["value"]
    writer = recorder.declared["web-writer"].inputs["stringData"]["value"]
    assert (reader["ca.crt"], writer["ca.crt"]) == ("caCert-made", "caCert-made")
    assert writer["forward"] == "gitops-run-bucket-0:9000"
    assert reader["accesskey"] == "readerAccessKey-made"
    assert recorder.declared["web-source"].inputs["spec"]["certSecretRef"] == {"name": "bucket-reader"}


def test_what_the_server_reads_is_marked_as_secret_and_stands_nowhere_else(recorder: Recorder) -> None:
    declare(recorder, spec_on(INSIDE))
    files = recorder.declared["web-server-secret"].inputs["stringData"]
    assert files[rpc._special_sig_key] == rpc._special_secret_sig
    others = [args.inputs for args in recorder.declared.values() if not args.typ.endswith(":Secret")]
    assert "SecretKey-made" not in repr(others)
    annotations = recorder.declared["web-server"].inputs["spec"]["template"]["metadata"]["annotations"]
    assert annotations == {"gitops-run.dev/credentials": "fingerprint-made"}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # pulumi_aws warns of itself when it is imported
def test_on_aws_each_user_has_one_key_for_this_bucket_and_the_reader_can_not_write(
    recorder: Recorder,
) -> None:
    pytest.importorskip("pulumi_aws", reason="the extra aws is not installed")
    after = declare(recorder, spec_on(AwsStore(region="eu-west-1")))
    reader = recorder.declared["web-reader-policy"].inputs["policy"]
    assert "PutObject" not in reader
    own = f"arn:aws:s3:::{spec_on(AwsStore(region='eu-west-1')).bucket}"
    for role in ("reader", "writer"):
        statements = json.loads(recorder.declared[f"web-{role}-policy"].inputs["policy"])["Statement"]
        assert {arn for one in statements for arn in one["Resource"]} == {own, f"{own}/*"}
    assert {"web-reader-key", "web-writer-key"} <= everything_before("web-source", after)
    assert recorder.declared["web-bucket"].inputs["forceDestroy"] is True


def test_the_program_exports_where_everything_is(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[str, object] = {}
    monkeypatch.setattr(pulumi, "export", told.__setitem__)

    run(recorder, lambda: declare_session(spec_on(OWN_STORE)))
    assert told["namespace"] == "run-web"
    assert "hunter2" not in repr(told)


@pytest.mark.parametrize("store", [OWN_STORE, INSIDE], ids=["s3", "in-cluster"])
def test_the_drain_goes_before_everything_else_of_the_session(recorder: Recorder, store: Store) -> None:
    after = declare(recorder, spec_on(store))
    by_values = {"web-keys", "web-credentials"}  # these are needed by values, not by depends_on
    rest = after.keys() - {"web", "web-drain"} - by_values
    assert everything_before("web-drain", after) == rest
    assert recorder.declared["web-drain"].inputs == {
        "kubeconfig": "/k",
        "context": "kind-a",
        "namespace": "run-web",
        "session": "web",
        "cluster": "uid",
    }
