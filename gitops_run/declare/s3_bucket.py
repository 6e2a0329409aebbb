"""The resource S3Bucket of this project's own plugin, for programs.

This module knows the inputs' names on both sides. The plugin, gitops_run.plugins.gitops_run, does the work.
"""

from __future__ import annotations

import pulumi

TOKEN = "gitops-run:index:S3Bucket"  # noqa: S105 - a type's token


class S3Bucket(pulumi.CustomResource):
    """Declare a bucket at any S3 endpoint but AWS's own."""

    bucket: pulumi.Output[str]
    endpoint: pulumi.Output[str]
    region: pulumi.Output[str]

    def __init__(  # noqa: PLR0913 - one keyword for each input
        self,
        resource_name: str,
        *,
        bucket: pulumi.Input[str],
        endpoint: pulumi.Input[str],
        region: pulumi.Input[str],
        access_key: pulumi.Input[str],
        secret_key: pulumi.Input[str],
        ca_cert: pulumi.Input[str] | None = None,
        force_destroy: pulumi.Input[bool] = False,
        reader_access_key: pulumi.Input[str] | None = None,
        writer_access_key: pulumi.Input[str] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare it. bucket and endpoint can't be changed in place; all else can.

        endpoint: https://host:port. access_key, secret_key: of the account that owns the bucket.
        ca_cert: PEM, where the system doesn't trust the endpoint. force_destroy: empty it, old versions
        included, when it is destroyed. reader_access_key, writer_access_key: accounts of the same store
        that the bucket's policy lets read, and read and write; none, and there is no policy.
        """
        super().__init__(
            TOKEN,
            resource_name,
            {
                "bucket": bucket,
                "endpoint": endpoint,
                "region": region,
                "accessKey": access_key,
                "secretKey": pulumi.Output.secret(secret_key),
                "caCert": ca_cert,
                "forceDestroy": force_destroy,
                "readerAccessKey": reader_access_key,
                "writerAccessKey": writer_access_key,
            },
            pulumi.ResourceOptions.merge(
                opts, pulumi.ResourceOptions(additional_secret_outputs=["secretKey"])
            ),
        )
