"""A Kubernetes control plane with Flux and an S3 store, as plain processes on the loopback interface.

This module knows how its programs are built from pinned sources, how they are started, watched and stopped,
and where a sandbox keeps its state. It knows nothing of sessions.
"""
