"""A run and its trackers: each is told of every round, and of the end."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

from client_model.metrics.table import MetricTable
from simulation.run.lifecycle import Run
from simulation.run.outcome import run_summary
from simulation.run.records import RoundRecord
from simulation.run.trackers.base import Outcome, TrackedRun, Tracker, make_trackers
from simulation.run.trackers.figures import run_figures
from simulation.run.trackers.values import held_out_values, round_values, setting_values, summary_values
from simulation.start_up import span
from typefleet.own_parts import calling

_FILES = ("config.toml", "summary.json", "privacy.json", "privacy.md")


class Tracking:
    """The trackers of a run, in the order of the setting; see `tracked`."""

    def __init__(self, trackers: Mapping[str, Tracker], metrics: MetricTable) -> None:
        self._trackers, self._metrics = trackers, metrics

    def before_the_first_round(self, held_out: Mapping[str, object]) -> None:
        """Tell of the measurement before the first round."""
        self._tell(0, held_out_values(held_out, self._metrics))

    def round(self, record: RoundRecord) -> None:
        """Tell of a round."""
        self._tell(record.round, round_values(record.as_line(), self._metrics))

    def end(self, run: Run) -> None:
        """Tell what the run came to; all rounds are done and the outcome is written."""
        if not self._trackers:
            return
        lines = run.directory.read_rounds()
        outcome = Outcome(
            last_round=run.totals.server_round,
            summary=summary_values(run_summary(run)),
            figures=run_figures(lines, run.held_out_at_start, run.prepared.baselines()),
            files=[path for name in _FILES if (path := run.directory.root / name).exists()],
        )
        for name, tracker in self._trackers.items():
            with calling(f"tracker {name}", "to take the outcome"):
                tracker.end(outcome)

    def _tell(self, number: int, values: Mapping[str, float]) -> None:
        for name, tracker in self._trackers.items():
            with calling(f"tracker {name}", f"to take round {number}"):
                tracker.round(number, values)


@contextmanager
def tracked(run: Run) -> Iterator[Tracking]:
    """The trackers that the run's settings name, begun, and closed when the block ends in whatever way.

    Raises:
        ConfigError: a tracker is not installed, or raises something. The run's folder is whole, and the run can go on.
    """
    trackers = make_trackers(run.config.tracking)
    with ExitStack() as opened:
        with span("start", "trackers"):
            what = _tracked_run(run) if trackers else None
            for name, tracker in trackers.items():
                opened.callback(_close, name, tracker)
                if what is not None:
                    with calling(f"tracker {name}", "to begin"):
                        tracker.begin(what)
        yield Tracking(trackers, run.prepared.metrics)


def _close(name: str, tracker: Tracker) -> None:
    with calling(f"tracker {name}", "to close"):
        tracker.close()


def _tracked_run(run: Run) -> TrackedRun:
    metrics, lines = run.prepared.metrics, run.directory.read_rounds()
    told = {line["round"]: round_values(line, metrics) for line in lines}
    if lines:
        told = {0: held_out_values(run.held_out_at_start, metrics), **told}
    return TrackedRun(
        folder=run.directory.root,
        key=hashlib.sha256(json.dumps(["tracker", run.salt]).encode()).hexdigest()[:16],
        settings=setting_values(run.config),
        told=told,
        next_round=run.totals.server_round + 1 if lines else 0,
    )
