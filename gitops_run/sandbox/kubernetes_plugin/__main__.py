"""Start the plugin; Pulumi runs bin/pulumi-resource-kubernetes with its own address as last argument."""

from __future__ import annotations

import sys

from gitops_run.plugins.serving import serve
from gitops_run.sandbox.kubernetes_plugin.host import Host
from gitops_run.sandbox.kubernetes_plugin.server import Provider

if __name__ == "__main__":
    addresses = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    serve(lambda: Provider(Host(addresses[-1] if addresses else None)))
