"""A run as trackers are told of it."""

import io

from PIL import Image

from simulation.run.trackers.base import Outcome, TrackedRun

LOSS = "training/loss_nats_per_token"


def _white_png(width, height):
    content = io.BytesIO()
    Image.new("L", (width, height), 255).save(content, "png")
    return content.getvalue()


PNG = _white_png(3, 2)


def run_in(folder, told=None, next_round=0, **settings):
    return TrackedRun(folder, "0123456789abcdef", {"seed": 0, **settings}, told or {}, next_round)


def tell(tracker, run, losses, end=True):
    """All of a run, or a part of it that is killed before it can close."""
    tracker.begin(run)
    for number, loss in losses.items():
        tracker.round(number, {LOSS: loss})
    if end:
        summary = {"epsilon": 1.5, "epsilon_is_of": "this run"}
        (run.folder / "summary.json").write_text("{}")
        tracker.end(Outcome(max(losses), summary, {"figures/recall": PNG}, (run.folder / "summary.json",)))
        tracker.close()
