"""The metrics, from their catalogue."""

from engine.metrics.catalogue import BOUNDS, METRICS
from tools.reference.markdown import escape, make_table

_HEADS = ("metric, type, unit", "labels", "meaning", "commands")


def describe_metrics() -> str:
    """Return the table of metrics, and the bounds of the histogram."""
    rows = [
        (
            f"`{metric.name}`<br>{', '.join(filter(None, (metric.kind, metric.unit)))}",
            ", ".join(f"`{label}`" for label in metric.labels),
            escape(metric.meaning),
            {"ledger": "all", "all": "all"}.get(metric.source, metric.source),
        )
        for metric in METRICS
    ]
    bounds = ", ".join(f"{bound:g}" for bound in BOUNDS)
    return f"{make_table(_HEADS, rows)}\n\nBounds of the histogram, in seconds: {bounds}."
