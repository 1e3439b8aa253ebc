"""What is counted, as OpenMetrics text for Prometheus. Imported when somebody first asks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.registry import Collector

from flexhub.app.hub.readiness import Ready
from flexhub.app.metrics import Histogram, Work

Found = dict[tuple[str, ...], Histogram]


def text(work: Work, now: Mapping[str, float], ready: Ready) -> bytes:
    """All metrics. `now` holds what is measured as it is asked for, by name."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Told(work, now, ready))
    written: bytes = generate_latest(registry)  # type: ignore[no-untyped-call]  # the library's types stop short of it
    return written


class _Told(Collector):
    def __init__(self, work: Work, now: Mapping[str, float], ready: Ready) -> None:
        self._work = work
        self._now = now
        self._ready = ready

    def collect(self) -> Iterator[Metric]:
        """Everything."""
        work = self._work
        messages = CounterMetricFamily("flexhub_messages", "Messages worked.", labels=("kind", "outcome"))
        for key, count in sorted(work.messages.items()):
            messages.add_metric(key, count)
        yield messages
        yield _histogram("flexhub_batch_messages", "Messages per commit.", (), {(): work.batches})
        yield _histogram(
            "flexhub_commit_seconds", "Seconds from a batch's begin to its commit.", (), {(): work.commits}
        )
        engines: Found = {(question,): found for question, found in work.engines.items()}
        yield _histogram("flexhub_engine_seconds", "Seconds per question to an engine.", ("question",), engines)
        requests: Found = {(m, r, str(s) if s else "none"): found for (m, r, s), found in work.http.requests.items()}
        labels = ("method", "route", "status")
        yield _histogram("flexhub_http_request_seconds", "Seconds per request; not streams.", labels, requests)
        for name, (about, value) in {k: (ABOUT[k], v) for k, v in self._now.items()}.items():
            yield GaugeMetricFamily(f"flexhub_{name}", about, value=value)
        checks = GaugeMetricFamily("flexhub_check_ok", "Whether a check of /ready passes.", labels=("check",))
        for finding in self._ready.checks:
            checks.add_metric((finding.name,), float(finding.ok))
        yield checks


ABOUT: Final = {
    "queue_messages": "Messages waiting or being worked.",
    "open_questions": "Questions to engines without an answer yet.",
    "timers_lag_seconds": "How long the oldest timer has been due.",
    "streams": "Open streams.",
    "store_bytes": "Size of the store.",
    "memory_bytes": "Memory of the hub's process.",
    "doors": "Processes that speak HTTP for the hub.",
    "doors_memory_bytes": "Memory of all doors together.",
}


def _histogram(name: str, about: str, labels: tuple[str, ...], found: Found) -> HistogramMetricFamily:
    family = HistogramMetricFamily(name, about, labels=labels)
    for key, one in sorted(found.items()):
        total, buckets = 0, []
        for bound, count in zip((*map(str, one.bounds), "+Inf"), one.counts, strict=True):
            total += count
            buckets.append((bound, total))
        family.add_metric(key, buckets, one.sum)
    return family
