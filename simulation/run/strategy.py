"""The server's strategy as the settings of a run make it."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from client_model.text.population import phone_labels
from server_strategy.dp_fedavg import DPFedAvg
from server_strategy.privacy.noise_key import NoiseKey
from simulation.run.aggregation import Aggregation
from simulation.run.preparation import Prepared
from simulation.world.fleet_cohorts import FleetCohorts


def strategy_of(
    prepared: Prepared,
    cohorts: FleetCohorts,
    ledger_path: Path,
    *,
    aggregation: Aggregation,
    noise: NoiseKey,
    salt: str,
) -> DPFedAvg:
    """The server's strategy before its first release, or before it takes up a checkpoint.

    Args:
        prepared: what is settled.
        cohorts: gives the phones of each round.
        ledger_path: of the ledger, which is opened, or begun.
        aggregation: of the phones' sums.
        noise: the key of all noise.
        salt: of the labels on record.

    Raises:
        LedgerError: the ledger was changed, or belongs to another plan.
    """
    config = prepared.config

    def labels(phones: NDArray[np.int64]) -> NDArray[np.uint64]:
        return np.array([int(label, 16) for label in phone_labels(salt, prepared.digests[phones])], np.uint64)

    return DPFedAvg(
        cohorts,
        len(prepared.digests),
        cohort=config.cohort,
        plan=prepared.plan,
        optimizer=config.server_optimizer,
        server_optimizer=prepared.parts.server_optimizer,
        noise=noise,
        ledger_path=ledger_path,
        labels=labels,
        phones_per_message=config.engine.devices_per_message,
        evaluation_phones=prepared.held_out_phones,
        evaluate_every=config.evaluation.every_rounds,
        message_timeout_s=config.engine.message_timeout_s,
        aggregator=aggregation.aggregator,
    )
