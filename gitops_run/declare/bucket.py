"""The session's S3 bucket, with a key that reads it and a key that writes it.

This module knows the three kinds of store: a server in the session's namespace, any S3 endpoint, through the
project's own plugin, and AWS.
"""

from __future__ import annotations

from collections.abc import Mapping

import pulumi

from gitops_run.declare.bucket_keys import BucketKeys
from gitops_run.declare.cluster_bucket import declare_cluster_bucket
from gitops_run.declare.s3_bucket import S3Bucket
from gitops_run.declare.session_bucket import SessionBucket
from gitops_run.model.session.spec import AwsStore, InClusterStore, S3Store, SessionSpec
from gitops_run.model.store.keys import KeyPair


def declare_bucket(
    spec: SessionSpec,
    labels: Mapping[str, str],
    opts: pulumi.ResourceOptions,
    cluster: pulumi.ResourceOptions,
) -> SessionBucket:
    """Declare the bucket where the session's store is.

    labels: what everything of it is tagged with. cluster: the options for objects of the session's namespace.
    """
    if isinstance(spec.store, AwsStore):
        from gitops_run.declare.aws_bucket import declare_aws_bucket  # noqa: PLC0415 - saves 230 ms, and an extra

        return declare_aws_bucket(spec, spec.store, labels, opts)
    if isinstance(spec.store, InClusterStore):
        inside = declare_cluster_bucket(spec, spec.store, labels, opts, cluster)
        return SessionBucket(
            made=(),
            reader=inside.credentials.apply(lambda known: known.reader),
            writer=inside.credentials.apply(lambda known: known.writer),
            ca=inside.credentials.apply(lambda known: known.ca),
            server=inside.made,
        )
    return _declare_s3_bucket(spec, spec.store, opts)


def _declare_s3_bucket(spec: SessionSpec, store: S3Store, opts: pulumi.ResourceOptions) -> SessionBucket:
    reader, writer = _declare_keys(spec, store, opts)
    bucket = S3Bucket(
        f"{spec.name}-bucket",
        bucket=spec.bucket,
        endpoint=store.endpoint,
        region=store.region,
        ca_cert=store.ca,
        access_key=store.admin.access_key,
        secret_key=pulumi.Output.secret(store.admin.secret_key),
        force_destroy=True,
        reader_access_key=_access_key(reader),
        writer_access_key=_access_key(writer),
        opts=opts,
    )
    return SessionBucket(
        made=(bucket,),
        reader=reader,
        writer=writer,
        ca=pulumi.Output.from_input(store.ca),
    )


def _declare_keys(
    spec: SessionSpec, store: S3Store, opts: pulumi.ResourceOptions
) -> tuple[pulumi.Output[KeyPair], pulumi.Output[KeyPair]]:
    """Take the keys that a person provides, otherwise declare keys that the store makes for this bucket."""
    if store.keys:
        return pulumi.Output.secret(store.keys.reader), pulumi.Output.secret(store.keys.writer)
    made = BucketKeys(f"{spec.name}-keys", bucket=spec.bucket, admin=store.access, opts=opts)
    return made.reader, made.writer


def _access_key(pair: pulumi.Output[KeyPair]) -> pulumi.Output[str]:
    """Name the account of a pair, which is no secret: it stands in the bucket's policy."""
    return pulumi.Output.unsecret(pair.apply(lambda known: known.access_key))
