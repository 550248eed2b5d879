"""A checkpoint's state, given to the world and the strategy of a run that goes on."""

import numpy as np

from server_strategy.dp_fedavg import DPFedAvg
from server_strategy.state import State, StateError, branch
from simulation.run.checkpoint import Checkpoint, CheckpointError, require_shapes
from simulation.run.preparation import Prepared
from simulation.world.fleet_cohorts import FleetCohorts
from typefleet.errors import InputError, expected, said_of


def load_state(stored: Checkpoint, prepared: Prepared, cohorts: FleetCohorts, strategy: DPFedAvg) -> None:
    """Let the world and the strategy go on from a checkpoint.

    Raises:
        CheckpointError: it is not of such a run.
        LedgerError: the ledger lacks a release that the checkpoint has made.
    """
    phones = np.zeros(len(prepared.digests), np.int64)
    sizes: State = {
        "weights": np.zeros(prepared.shape.num_weights, np.float32),
        "tokens_by_phone": phones,
        "strategy": {"participation": strategy.state()["participation"]},
        "world": {"timeline": branch(cohorts.state(), "timeline")},
    }
    require_shapes(stored, sizes)
    try:
        cohorts.load_state(branch(stored.state, "world"))
        strategy.load_state(branch(stored.state, "strategy"))
    except StateError as error:
        raise CheckpointError(said_of(stored.path, error)) from error
    except InputError:
        raise
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise CheckpointError(expected(stored.path, "the state of such a run", "another one")) from error
