"""The resource BucketKeys of this project's own plugin, for programs.

This module knows the names on both sides. The plugin, gitops_run.plugins.gitops_run, makes the accounts at
the store.
"""

from __future__ import annotations

import pulumi

from gitops_run.model.store.keys import KeyPair
from gitops_run.model.store.objects import StoreAccess

TOKEN = "gitops-run:index:BucketKeys"  # noqa: S105 - a type's token

_OUTPUTS = {
    f"{role}_{half}_key": f"{role}{half.title()}Key"
    for role in ("reader", "writer")
    for half in ("access", "secret")
}
_PYTHON_NAMES = {wire: name for name, wire in _OUTPUTS.items()}


class BucketKeys(pulumi.CustomResource):
    """Declare two accounts of a store, made for one bucket: one that reads it, and one that writes it."""

    reader_access_key: pulumi.Output[str]
    reader_secret_key: pulumi.Output[str]
    writer_access_key: pulumi.Output[str]
    writer_secret_key: pulumi.Output[str]

    def __init__(
        self,
        resource_name: str,
        *,
        bucket: str,
        admin: StoreAccess,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare them. admin: the store, with the key of an account that may make accounts."""
        super().__init__(
            TOKEN,
            resource_name,
            {
                **dict.fromkeys(_OUTPUTS),
                "bucket": bucket,
                "endpoint": admin.endpoint,
                "region": admin.region,
                "accessKey": admin.access_key,
                "secretKey": pulumi.Output.secret(admin.secret_key),
                "caCert": admin.ca_cert,
            },
            pulumi.ResourceOptions.merge(
                opts,
                pulumi.ResourceOptions(
                    additional_secret_outputs=["secretKey", "reader_secret_key", "writer_secret_key"],
                    delete_before_replace=True,  # the new accounts bear the old ones' names
                ),
            ),
        )

    @property
    def reader(self) -> pulumi.Output[KeyPair]:
        """Return the pair that reads, as one secret."""
        return _pair(self.reader_access_key, self.reader_secret_key)

    @property
    def writer(self) -> pulumi.Output[KeyPair]:
        """Return the pair that writes, as one secret."""
        return _pair(self.writer_access_key, self.writer_secret_key)

    def translate_input_property(self, prop: str) -> str:
        """Name a property as the plugin does."""
        return _OUTPUTS.get(prop, prop)

    def translate_output_property(self, prop: str) -> str:
        """Name a property as Python does."""
        return _PYTHON_NAMES.get(prop, prop)


def _pair(access_key: pulumi.Output[str], secret_key: pulumi.Output[str]) -> pulumi.Output[KeyPair]:
    both = pulumi.Output.all(access_key, secret_key)
    return pulumi.Output.secret(both.apply(lambda pair: KeyPair(access_key=pair[0], secret_key=pair[1])))
