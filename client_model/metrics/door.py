"""The door for metrics. To have one always measured: a `Metric` and its kind in `keyboard_metrics`, and a line here."""

from typing import TYPE_CHECKING

from typefleet.doors import Door

if TYPE_CHECKING:
    from client_model.metrics.metric import Metric

_BUILT_IN = {
    "top1_recall": "client_model.metrics.keyboard_metrics:TOP1_RECALL_KIND",
    "top3_recall": "client_model.metrics.keyboard_metrics:TOP3_RECALL_KIND",
    "recall_by_position": "client_model.metrics.keyboard_metrics:RECALL_BY_POSITION_KIND",
    "impression_recall": "client_model.metrics.keyboard_metrics:IMPRESSION_RECALL_KIND",
    "keystroke_savings": "client_model.metrics.keyboard_metrics:KEYSTROKE_SAVINGS_KIND",
    "perplexity": "client_model.metrics.keyboard_metrics:PERPLEXITY_KIND",
    "oov_rate": "client_model.metrics.keyboard_metrics:OOV_RATE_KIND",
}
ALWAYS_MEASURED = tuple(_BUILT_IN)
"""In the order in which tables show them."""

METRICS: "Door[Metric]" = Door("metric", "typefleet.metrics", _BUILT_IN, needs=("name", "counts", "value"))
"""`make(settings)` gives the metric; a metric has no settings but those of its object."""
