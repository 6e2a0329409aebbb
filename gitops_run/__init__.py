"""GitOps Run."""
