"""A session's bucket on AWS: the bucket, closed to the public, and two users with a key each.

What each user may do is model/store/policy.py. Source: pulumi-aws 7, where s3.Bucket is what was BucketV2.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import pulumi
import pulumi_aws as aws

from gitops_run.declare.objects import after
from gitops_run.declare.session_bucket import SessionBucket
from gitops_run.model.session.spec import AwsStore, SessionSpec
from gitops_run.model.store.keys import KeyPair
from gitops_run.model.store.policy import account_policy


def declare_aws_bucket(
    spec: SessionSpec, store: AwsStore, labels: Mapping[str, str], opts: pulumi.ResourceOptions
) -> SessionBucket:
    """Declare the bucket and its users, under AWS credentials of whoever runs the program."""
    cloud = aws.Provider(
        f"{spec.name}-aws",
        region=store.region,
        skip_credentials_validation=True,  # one round trip less; a wrong key fails at the bucket
        skip_metadata_api_check=True,
        default_tags={"tags": dict(labels)},
        opts=opts,
    )
    here = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(provider=cloud))
    bucket = aws.s3.Bucket(f"{spec.name}-bucket", bucket=spec.bucket, force_destroy=True, opts=here)
    closed = aws.s3.BucketPublicAccessBlock(
        f"{spec.name}-closed",
        bucket=bucket.id,
        block_public_acls=True,
        block_public_policy=True,
        ignore_public_acls=True,
        restrict_public_buckets=True,
        opts=here,
    )
    reading, reader = _declare_user(spec, "reader", after(here, bucket))
    writing, writer = _declare_user(spec, "writer", after(here, bucket))
    return SessionBucket(
        made=(bucket, closed, *reading, *writing),
        reader=reader,
        writer=writer,
        ca=pulumi.Output.from_input(""),
    )


def _declare_user(
    spec: SessionSpec, role: str, opts: pulumi.ResourceOptions
) -> tuple[tuple[pulumi.Resource, ...], pulumi.Output[KeyPair]]:
    user = aws.iam.User(
        f"{spec.name}-{role}-user", name=f"{spec.bucket}-{role[0]}", force_destroy=True, opts=opts
    )
    allowed = aws.iam.UserPolicy(
        f"{spec.name}-{role}-policy",
        user=user.name,
        policy=json.dumps(account_policy(spec.bucket, may_write=role == "writer")),
        opts=opts,
    )
    key = aws.iam.AccessKey(f"{spec.name}-{role}-key", user=user.name, opts=after(opts, allowed))
    pair = pulumi.Output.all(key.id, key.secret).apply(
        lambda both: KeyPair(access_key=both[0], secret_key=both[1])
    )
    return (user, allowed, key), pulumi.Output.secret(pair)
