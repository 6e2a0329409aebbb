"""A real node: containerd, kubelet and kube-proxy in namespaces of the sandbox's own, with real pods."""
