"""A session's files: which belong to its target, and what they name."""
