"""Kubernetes objects: identity, changes, whose they are, and what Flux makes of them."""
