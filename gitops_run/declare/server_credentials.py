"""The resource ServerCredentials of this project's own plugin, for programs.

This module knows the names on both sides. The plugin, gitops_run.plugins.gitops_run, makes what it holds.
"""

from __future__ import annotations

from collections.abc import Sequence

import pulumi

from gitops_run.model.manifests.store_server import ServerCredentials, read_credentials

TOKEN = "gitops-run:index:ServerCredentials"  # noqa: S105 - a type's token

_ROLES = ("root", "reader", "writer")
_SECRETS = {
    "ca_cert": "caCert",
    "certificate": "certificate",
    "private_key": "privateKey",
    **{f"{role}_access_key": f"{role}AccessKey" for role in _ROLES},
    **{f"{role}_secret_key": f"{role}SecretKey" for role in _ROLES},
}
_NAMES = {"server_names": "serverNames", **_SECRETS, "not_after": "notAfter", "fingerprint": "fingerprint"}
_PYTHON_NAMES = {wire: name for name, wire in _NAMES.items()}


class MadeCredentials(pulumi.CustomResource):
    """Declare a CA, a server's certificate and three accounts, made once and kept as secrets."""

    ca_cert: pulumi.Output[str]
    certificate: pulumi.Output[str]
    private_key: pulumi.Output[str]
    not_after: pulumi.Output[str]
    fingerprint: pulumi.Output[str]
    root_access_key: pulumi.Output[str]
    root_secret_key: pulumi.Output[str]
    reader_access_key: pulumi.Output[str]
    reader_secret_key: pulumi.Output[str]
    writer_access_key: pulumi.Output[str]
    writer_secret_key: pulumi.Output[str]

    def __init__(
        self, resource_name: str, *, server_names: Sequence[str], opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Declare them. server_names: DNS names and addresses of the server; others mean new credentials."""
        super().__init__(
            TOKEN,
            resource_name,
            {**dict.fromkeys(_NAMES), "server_names": list(server_names)},
            pulumi.ResourceOptions.merge(
                opts, pulumi.ResourceOptions(additional_secret_outputs=list(_SECRETS))
            ),
        )

    def known(self) -> pulumi.Output[ServerCredentials]:
        """Give all of it at once, as one secret."""
        made = {wire: getattr(self, name) for name, wire in _SECRETS.items()}
        gathered = pulumi.Output.all(**made, fingerprint=self.fingerprint)
        return pulumi.Output.secret(gathered.apply(read_credentials))

    def translate_input_property(self, prop: str) -> str:
        """Name a property as the plugin does."""
        return _NAMES.get(prop, prop)

    def translate_output_property(self, prop: str) -> str:
        """Name a property as Python does."""
        return _PYTHON_NAMES.get(prop, prop)
