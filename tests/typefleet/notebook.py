"""What a notebook would do, cell by cell: no main guard, an object of one's own from `__main__`, two runs in a row."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from typefleet import CohortConfig, EngineConfig, EvaluationConfig, FleetConfig, ModelConfig, RunConfig, simulate

root = Path(sys.argv[1])
config = RunConfig(
    output_dir=root / "first",
    rounds=2,
    model=ModelConfig(vocabulary_size=400, embedding_size=32, units=48, sequence_length=10),
    cohort=CohortConfig(goal=8),
    evaluation=EvaluationConfig(every_rounds=1, max_phones=10),
    fleet=FleetConfig(size=300),
    engine=EngineConfig(workers=1, export=False),
)
first = simulate(config)


@dataclass(frozen=True)
class SignSteps:
    """Steps of one size, along the sign of the mean update."""

    linear_momentum: float = 0.0

    def initial_state(self, num_weights):
        return {"steps": np.zeros(1, np.float32)}

    def step(self, learning_rate, mean_update, state):
        return np.float32(learning_rate) * np.sign(mean_update), {"steps": state["steps"] + 1}


second = simulate(
    RunConfig(**{**vars(config), "output_dir": root / "second"}), server_optimizer=SignSteps(), progress=None
)

below = psutil.Process().children(recursive=True)
left = [process.name() for process in below if process.status() != psutil.STATUS_ZOMBIE]  # which runs no more
print(
    json.dumps(
        {
            "left": left,
            "paths": [str(first.path), str(second.path)],
            "finished": [first.finished, second.finished],
            "completed": [first.rounds["completed"], second.rounds["completed"]],
            "recall": first.rounds["top1_recall"],
            "weights": [first.summary["weights_sha256"], second.summary["weights_sha256"]],
            "said": str(first),
        }
    )
)
