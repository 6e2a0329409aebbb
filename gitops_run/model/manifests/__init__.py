"""The objects that a session consists of."""
