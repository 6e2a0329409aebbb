"""The resource ServerCredentials of this project's own plugin, for programs.

Knows the names on both sides. The plugin, gitops_run.plugins.gitops_run, makes what it holds.
"""

from __future__ import annotations

from collections.abc import Sequence

import pulumi

TOKEN = "gitops-run:index:ServerCredentials"  # noqa: S105 - a type's token

_ROLES = ("root", "reader", "writer")


class MadeCredentials(pulumi.CustomResource):
    """Declare a CA, a server's certificate and three accounts, made once and kept as secrets."""

    ca_cert: pulumi.Output[str]
    certificate: pulumi.Output[str]
    private_key: pulumi.Output[str]
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
        made = {
            "caCert": None,
            "certificate": None,
            "privateKey": None,
            "notAfter": None,
            "fingerprint": None,
            **{f"{role}{half}": None for role in _ROLES for half in ("AccessKey", "SecretKey")},
        }
        secret = [name for name in made if name not in ("notAfter", "fingerprint")]
        super().__init__(
            TOKEN,
            resource_name,
            {"serverNames": list(server_names), **made},
            pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(additional_secret_outputs=secret)),
        )

    def translate_output_property(self, prop: str) -> str:
        """Name an output as Python does."""
        return _SNAKE.get(prop, prop)

    def translate_input_property(self, prop: str) -> str:
        """Name an input as the plugin does; it is named so already."""
        return prop


_SNAKE = {
    "caCert": "ca_cert",
    "privateKey": "private_key",
    "notAfter": "not_after",
    **{f"{role}AccessKey": f"{role}_access_key" for role in _ROLES},
    **{f"{role}SecretKey": f"{role}_secret_key" for role in _ROLES},
}
