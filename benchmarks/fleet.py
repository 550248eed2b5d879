"""A large synthetic fleet by itself: python -m benchmarks.fleet PHONES

Prints one JSON object: seconds until the first round can be planned (text, vocabulary, split, baselines,
fleet), seconds of a check-in query, of planning a round of 500, the peak size of the process, and then the
rounds a second of a dry run over more than a day.
"""

import json
import sys
import time

import numpy as np

from simulation.clock import HOUR_S
from simulation.engine.memory import peak_rss_bytes
from simulation.flags import parse_simulate
from simulation.run.preparation import prepare
from simulation.studies.dry_run import prepare_dry_run, run_days

_DRY_RUN_PHONES = 1_000_000  # at most
_DRY_RUN_DAYS = 1.2  # so that a new day's sessions are among the cost


def main(phones: int) -> None:
    """Set up a fleet, ask it who is there, and print what both took."""
    began = time.perf_counter()
    flags = ["--data.format", "synthetic", "--fleet.size", str(phones), "--cohort.goal", "500"]
    config = parse_simulate(flags).run
    prepared = prepare(config)
    cohorts, admitted = prepared.open_world(), np.ones(phones, bool)
    timeline = cohorts.timeline
    timeline.check_ins(admitted)  # the first day's sessions are made at the first query
    ready_s = time.perf_counter() - began
    queries = []
    for hour in range(1, 24):
        timeline.now_s = hour * HOUR_S
        began = time.perf_counter()
        timeline.check_ins(admitted)
        queries.append(time.perf_counter() - began)
    timeline.now_s = 25 * HOUR_S
    began = time.perf_counter()
    timeline.check_ins(admitted)
    new_day_s = time.perf_counter() - began
    began = time.perf_counter()
    cohorts.plan_round(1, admitted)
    found = {
        "phones": phones,
        "ready_s": ready_s,
        "check_in_median_s": float(np.median(queries)),
        "check_in_slowest_s": max(queries),
        "new_day_s": new_day_s,
        "plan_round_s": time.perf_counter() - began,
        "peak_rss_bytes": peak_rss_bytes(),
    }
    if phones <= _DRY_RUN_PHONES:
        del prepared, cohorts, timeline
        run, cohorts = prepare_dry_run(config)
        run_days(config, run, cohorts, _DRY_RUN_DAYS)
        found["dry_run_rounds_per_s"] = len(run.rounds) / run.planning_s
    print(json.dumps(found))


if __name__ == "__main__":
    main(int(sys.argv[1]))
