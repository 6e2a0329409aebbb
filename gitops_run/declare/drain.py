"""The resource Drain of this project's own plugin, for programs.

Knows the inputs' names on both sides. The plugin, gitops_run.plugins.gitops_run, does the work.
"""

from __future__ import annotations

import pulumi

from gitops_run.model.session.spec import SessionSpec

TOKEN = "gitops-run:index:Drain"  # noqa: S105 - a type's token
DELETE_WITHIN = "1m"


class Drain(pulumi.CustomResource):
    """Declare the first step of a session's end, to be made after everything that must outlast it."""

    def __init__(self, resource_name: str, spec: SessionSpec, opts: pulumi.ResourceOptions) -> None:
        own = pulumi.ResourceOptions(custom_timeouts=pulumi.CustomTimeouts(delete=DELETE_WITHIN))
        super().__init__(
            TOKEN,
            resource_name,
            {
                "kubeconfig": spec.cluster.kubeconfig,
                "context": spec.cluster.context,
                "namespace": spec.namespace,
                "session": spec.name.text,
                "cluster": spec.cluster.uid,
            },
            pulumi.ResourceOptions.merge(own, opts),
        )
