"""A session's root on disk: what its target needs, what changed, and a stable copy of it."""

from gitops_run.adapters.files.root import find_root
from gitops_run.adapters.files.work_tree import MAX_BYTES, MAX_FILES, WorkTree

__all__ = ["MAX_BYTES", "MAX_FILES", "WorkTree", "find_root"]
