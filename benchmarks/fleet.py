"""A large synthetic fleet by itself: python -m benchmarks.fleet PHONES

Prints one JSON object: seconds until the first round can be planned (text, vocabulary, split, baselines,
fleet), seconds of a check-in query, of planning a round of 500, and the peak size of the process.
"""

import json
import sys
import time

import numpy as np

from simulation.clock import HOUR_S
from simulation.flags import parse_simulate
from simulation.memory import peak_rss_bytes
from simulation.preparation import prepare


def main(phones: int) -> None:
    began = time.perf_counter()
    prepared = prepare(parse_simulate(["--fleet.size", str(phones), "--cohort.goal", "500"]).run)
    cohorts, admitted = prepared.cohorts, np.ones(phones, bool)
    cohorts.check_ins(admitted)  # the first day's sessions are made at the first query
    ready_s = time.perf_counter() - began
    queries = []
    for hour in range(1, 24):
        cohorts.now_s = hour * HOUR_S
        began = time.perf_counter()
        cohorts.check_ins(admitted)
        queries.append(time.perf_counter() - began)
    cohorts.now_s = 25 * HOUR_S
    began = time.perf_counter()
    cohorts.check_ins(admitted)
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
    print(json.dumps(found))


if __name__ == "__main__":
    main(int(sys.argv[1]))
