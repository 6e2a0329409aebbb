"""Start the plugin; Pulumi runs this through bin/pulumi-resource-gitops-run."""

from __future__ import annotations

from gitops_run.plugins.gitops_run.provider import GitOpsRunProvider
from gitops_run.plugins.serving import serve

if __name__ == "__main__":
    serve(GitOpsRunProvider)
