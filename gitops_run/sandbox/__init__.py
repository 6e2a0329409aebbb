"""A Kubernetes control plane with Flux and an S3 store, as plain processes on the loopback interface.

Knows how its programs are built from pinned sources, how they are started, watched and stopped, and
where a sandbox keeps its state. Knows nothing of sessions.
"""
