"""What list, status and the page say of a session in words: why it isn't healthy, and what bounds it."""

from __future__ import annotations

from gitops_run.model.state.session_state import SessionState


def health_of(state: SessionState) -> str:
    """Say why a session isn't healthy, in Flux's words or its loop's; "healthy", or "" where nobody says."""
    refused = (f"{one.reason}: {one.message}" for one in state.targets if one.ready == "False")
    if why := _idle_because(state) or next(refused, ""):
        return why
    summary = state.summary
    if summary is None or summary.last is None:
        return ""
    if summary.unhealthy:
        return f"{summary.unhealthy} not healthy: {summary.first_unhealthy}"
    return "healthy" if summary.last.is_healthy else ""


def _idle_because(state: SessionState) -> str:
    """Say why Flux applies nothing at present; what its conditions say doesn't matter then."""
    if state.is_incomplete:
        return "an up or a down was interrupted"
    if state.is_suspended:
        return f"suspended{suspended_by(state)}"
    return "nothing was saved yet" if state.is_new else ""


def suspended_by(state: SessionState) -> str:
    """Say who has suspended a session, " by alice: demo", as far as they have said; "" where nobody has."""
    said = next((one for one in state.targets if one.is_suspended and one.suspended_by), None)
    if said is None:
        return ""
    return f" by {said.suspended_by}" + (f": {said.suspended_reason}" if said.suspended_reason else "")


def isolation_of(state: SessionState) -> str:
    """Say what a session's namespace bounds, and the Pod Security level that its pods keep."""
    bounds = (state.place.isolation or "no bounds") if state.place else ""
    return ", ".join(filter(None, (bounds, state.pod_security)))
