"""The only rooms with a door to the outside; each maps what its SDK raises to `gitops_run.errors`."""
