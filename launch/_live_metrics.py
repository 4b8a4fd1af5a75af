"""The metrics page of a live server, in the format of Prometheus."""

from __future__ import annotations

from collections.abc import Iterator

import prometheus_client
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.registry import Collector

from xactor_jax.live.engine import Engine
from xactor_jax.live.measures import Recent

PREFIX = "xactor_live_"


class Measured(Collector):
    """The engine's measures, read when the page is asked for."""

    def __init__(self, engine: Engine):
        self.engine = engine

    def collect(self) -> Iterator[Metric]:
        """The families of the page."""
        engine, measures = self.engine, self.engine.measures
        yield GaugeMetricFamily(f"{PREFIX}places", "Sessions at the same time, at most", engine.places)
        yield GaugeMetricFamily(f"{PREFIX}session_cost", "Seconds of computing for a second of one session", engine.cost)
        yield GaugeMetricFamily(f"{PREFIX}sessions", "Sessions now", len(engine.seats))
        yield GaugeMetricFamily(f"{PREFIX}delay_seconds", "Delay without computing time", engine.programs.delay_seconds)
        for name, count in list(measures.counts.items()):
            yield CounterMetricFamily(f"{PREFIX}{name}", TEXTS[name], count)
        yield summary("latency", "From a frame's last sound to its picture", measures.latency)
        yield summary("tick", "A call of the engine that had work", measures.tick)


TEXTS = {
    "started": "Sessions made",
    "resumed": "Sessions taken up from saved bytes",
    "finished": "Sessions that ended",
    "broken": "Sessions that ended by an error or a broken rule",
    "refused": "Sessions refused because all places were taken",
    "frames": "Pictures made",
    "late": "Pictures that came later than the delay and the buffer",
    "dropped": "Pictures dropped of ended sessions, because they were not read",
}


def summary(name: str, text: str, values: Recent) -> Metric:
    """Quantiles of the recent values, and number and sum of all."""
    family = SummaryMetricFamily(f"{PREFIX}{name}_seconds", text, values.count, values.total)
    for quantile, value in values.quantiles().items():
        family.add_sample(family.name, {"quantile": f"{quantile:g}"}, value)
    return family


def registry(engine: Engine) -> prometheus_client.CollectorRegistry:
    """Metrics of the engine and of the process (memory, processor time)."""
    made = prometheus_client.CollectorRegistry()
    made.register(Measured(engine))
    prometheus_client.ProcessCollector(registry=made)
    return made
