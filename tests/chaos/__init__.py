"""Chaos: real writers on a sandbox of its own, faults by a seed, and witnesses that do not ask the tool."""
