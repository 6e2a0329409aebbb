"""The image of gitops-run, as an OCI layout that is written without a daemon."""
