"""Who may do what in the session's namespace, its Secrets, and the ConfigMaps with what its loop does."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pulumi

from gitops_run.declare.objects import KubernetesObject, after
from gitops_run.declare.session_bucket import SessionBucket
from gitops_run.model.manifests import session as manifests
from gitops_run.model.manifests.session import Manifest
from gitops_run.model.session.isolation import CLUSTER
from gitops_run.model.session.spec import KustomizeApplier, SessionSpec
from gitops_run.model.store.keys import KeyPair


def declare_access(spec: SessionSpec, opts: pulumi.ResourceOptions) -> tuple[pulumi.Resource, ...]:
    """Declare the account that applies, and what it and the session's owner may do."""
    account = KubernetesObject(f"{spec.name}-account", manifests.service_account(spec), opts)
    applier = KubernetesObject(f"{spec.name}-applier", manifests.account_role(spec), opts)
    owner = KubernetesObject(f"{spec.name}-owner", manifests.owner_role(spec), opts)
    binding = manifests.cluster_binding(spec)
    wide = spec.isolation == CLUSTER
    return (
        account,
        applier,
        owner,
        *((KubernetesObject(f"{spec.name}-cluster-binding", binding, after(opts, account)),) if wide else ()),
        KubernetesObject(
            f"{spec.name}-applier-binding", manifests.account_binding(spec), after(opts, account, applier)
        ),
        KubernetesObject(f"{spec.name}-owner-binding", manifests.owner_binding(spec), after(opts, owner)),
    )


def declare_record(spec: SessionSpec, opts: pulumi.ResourceOptions) -> tuple[pulumi.Resource, ...]:
    """Declare the ConfigMaps of state and record. What the loop writes to them is not Pulumi's."""
    return tuple(
        KubernetesObject(
            f"{spec.name}-{manifest['metadata']['name'].removeprefix('gitops-run-')}",
            manifest,
            after(opts, ignore_changes=["data"]),
        )
        for manifest in manifests.record_maps(spec)
    )


def declare_secrets(
    spec: SessionSpec, bucket: SessionBucket, opts: pulumi.ResourceOptions
) -> tuple[pulumi.Resource, ...]:
    """Declare Flux's reading key, the owner's writing key, and what the user's files hold for Flux."""

    def data(write: Callable[[SessionSpec, KeyPair, str], Manifest], made: list[Any]) -> dict[str, str]:
        key, ca = made
        written: dict[str, str] = write(spec, key, ca)["stringData"]
        return written

    reader = pulumi.Output.all(bucket.reader, bucket.ca)
    writer = pulumi.Output.all(bucket.writer, bucket.ca)
    nobody = KeyPair(access_key="", secret_key="")
    reading = manifests.reader_secret(spec, nobody, "") | {
        "stringData": reader.apply(partial(data, manifests.reader_secret))
    }
    writing = manifests.writer_secret(spec, nobody, "") | {
        "stringData": writer.apply(partial(data, manifests.writer_secret))
    }
    return (
        KubernetesObject(f"{spec.name}-reader", reading, opts),
        KubernetesObject(f"{spec.name}-writer", writing, opts),
        *_declare_given(spec, opts),
    )


def _declare_given(spec: SessionSpec, opts: pulumi.ResourceOptions) -> tuple[pulumi.Resource, ...]:
    """Declare the Secrets of what the user's files hold: the age key, and variables."""
    if not isinstance(spec.applier, KustomizeApplier):
        return ()
    given: list[pulumi.Resource] = []
    for name, has_any, manifest in (
        ("decryption", spec.applier.decryption_key, manifests.decryption_secret(spec)),
        ("variables", spec.applier.secret_variables, manifests.variables_secret(spec)),
    ):
        if has_any:
            manifest["stringData"] = pulumi.Output.secret(manifest["stringData"])
            given.append(KubernetesObject(f"{spec.name}-{name}", manifest, opts))
    return tuple(given)
