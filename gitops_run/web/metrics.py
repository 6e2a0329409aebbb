"""Numbers for Prometheus: sessions by state, how long saves take, watches and streams. No name is in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from prometheus_client import CollectorRegistry, Histogram, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from gitops_run.model.state.saves import Outcome
from gitops_run.model.state.session_state import Phase, SessionState
from gitops_run.web.live import Live
from gitops_run.web.viewer import Viewer

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS_S: Final = (0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0)


class Metrics:
    """Hold one server's numbers. Fulfils prometheus_client's Collector."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._saves = Histogram(
            "gitops_run_save_seconds",
            "How long saves took until they were applied, as their loops report it.",
            buckets=BUCKETS_S,
            registry=self._registry,
        )
        self._live: Live | None = None
        self._viewer: Viewer | None = None

    def observe(self, state: SessionState) -> None:
        """Take the newest save of a session, where it was applied."""
        last = state.summary.last if state.summary else None
        if last is not None and last.outcome is Outcome.APPLIED:
            self._saves.observe(last.took_ms / 1000)

    def read_from(self, live: Live, viewer: Viewer) -> None:
        """Say where the other numbers come from."""
        self._live, self._viewer = live, viewer
        self._registry.register(self)

    def text(self) -> bytes:
        """Write all numbers as Prometheus reads them."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Yield what is counted when it is asked for."""
        live, viewer = self._live, self._viewer
        if live is None or viewer is None:
            return
        found = Counter(row.phase for row in live.rows.values())
        sessions = GaugeMetricFamily("gitops_run_sessions", "Sessions by state.", labels=("state",))
        for phase in Phase:
            sessions.add_metric((phase.value,), found[phase])
        yield sessions
        restarts = CounterMetricFamily(
            "gitops_run_watch_restarts", "Watches that failed and were begun again.", labels=("kind",)
        )
        for kind, number in sorted(live.restarts.items()):
            restarts.add_metric((kind,), number)
        yield restarts
        yield GaugeMetricFamily("gitops_run_watches", "Watches of the API server.", len(live.pulses))
        yield GaugeMetricFamily("gitops_run_is_current", "1 while every watch works.", int(live.is_current))
        streams = GaugeMetricFamily("gitops_run_streams", "Open streams.", labels=("kind",))
        streams.add_metric(("sessions",), viewer.streams)
        streams.add_metric(("logs",), viewer.logs)
        yield streams
