"""Texts and YAML: problems, masks, limits, and what Go's libraries read."""
