"""A session's store: objects, buckets, accounts."""
