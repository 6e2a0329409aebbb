"""The permit that each request needs which writes to a session's store or suspends its Bucket."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

Permit = Callable[[], Awaitable[None]]
"""Returns where such a request may be sent now, and raises where it may not be.

It is asked right before each one, retries included, since the Lease may be lost at any time.
"""
