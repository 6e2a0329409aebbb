"""Pulumi plugins of this project: its own one, and the stand-in for pulumi-resource-kubernetes."""
