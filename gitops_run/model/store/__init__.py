"""What a store holds: objects and their revision, keys, policy, failures."""
