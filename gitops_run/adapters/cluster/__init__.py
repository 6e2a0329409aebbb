"""The Kubernetes API of one pinned cluster: requests, watches, and what a session keeps there.

Only this package knows the kubernetes client. It takes raw JSON in and hands values of the model out.
"""
