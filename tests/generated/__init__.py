"""Kustomizations and charts that hypothesis makes up, and what Flux makes of each."""
