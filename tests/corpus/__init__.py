"""Targets of public repositories, by which the preview is compared with what Flux does."""
