"""What the privacy mechanisms cost the server: python -m benchmarks.noise [WEIGHTS [ROUNDS]]

Prints one JSON object: for each mechanism, and for discrete instead of continuous noise where that can be had, the
milliseconds that a release takes for a model of WEIGHTS weights (median of the second half), the size of its state,
and the seconds until a plan is settled; and the seconds that the sensitivity of the published production setting takes.
"""

import json
import statistics
import sys
import time

import numpy as np

from server_strategy.config import CohortConfig
from server_strategy.privacy.config import PrivacyConfig
from server_strategy.privacy.lattice_sum import protected_sum_of
from server_strategy.privacy.mechanisms.door import private_mechanisms
from server_strategy.privacy.noise_key import NoiseKey
from server_strategy.privacy.planning import make_privacy_plan
from server_strategy.privacy.tree_aggregation import tree_sensitivity_squared
from server_strategy.update_sum import FRACTION_BITS
from simulation.run.checkpoint import flattened

_SEPARATION = 20


def measure(privacy: PrivacyConfig, weights: int, rounds: int) -> dict[str, float]:
    """One mechanism and sampler, played through all rounds."""
    began = time.perf_counter()
    cohort = CohortConfig(goal=50, min_separation_rounds=_SEPARATION)
    plan = make_privacy_plan(cohort, privacy, rounds=rounds, num_phones=5000)
    plan_s = time.perf_counter() - began
    protected = protected_sum_of(plan, NoiseKey.fresh(), FRACTION_BITS)
    took_s, total = [], np.zeros(weights, np.int64 if privacy.sampler == "discrete" else np.float64)
    for _ in range(rounds):
        began = time.perf_counter()
        protected.release(total, 50, 25)
        took_s.append(time.perf_counter() - began)
    state_bytes = sum(array.nbytes for array in flattened(protected.state()).values())
    return {
        "release_ms": 1e3 * statistics.median(took_s[rounds // 2 :]),
        "state_mb": state_bytes / 1e6,
        "plan_s": plan_s,
    }


def main(weights: int, rounds: int) -> None:
    """Measure every mechanism and print one JSON object."""
    began = time.perf_counter()
    sensitivity = tree_sensitivity_squared(2000, 314, 6)
    published_s = time.perf_counter() - began
    cases = {name: PrivacyConfig(name, noise_multiplier=1.0) for name in private_mechanisms()}
    cases["gaussian, discrete"] = PrivacyConfig(sampler="discrete", noise_multiplier=1.0)
    print(
        json.dumps(
            {
                "weights": weights,
                "rounds": rounds,
                "separation_rounds": _SEPARATION,
                **{name: measure(privacy, weights, rounds) for name, privacy in cases.items()},
                "published_setting": {"squared_sensitivity": sensitivity, "seconds": published_s},
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    given = [int(argument) for argument in sys.argv[1:]]
    main(*(given + [1_422_250, 60][len(given) :]))
