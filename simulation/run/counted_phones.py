"""Whose words a run counts, and whom it measures: no more of each than the settings say, drawn by the seed."""

import numpy as np
from numpy.typing import NDArray

from client_model.keyed_random import hash_uint64, purpose_key
from simulation.config import RunConfig
from simulation.world.consent.config import EVALUATE, TRAIN
from simulation.world.fleet import Fleet
from typefleet.errors import ConfigError, expected


def counted_and_measured(
    config: RunConfig,
    fleet: Fleet,
    people: NDArray[np.int64],
    held_out: NDArray[np.int64],
    digests: NDArray[np.uint64],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """(training phones that words are counted on, people held out who are evaluated, of them those before a round).

    Args:
        config: the settings.
        fleet: the phones, and to what their owners agree.
        people: int64, that train.
        held_out: int64.
        digests: uint64 [phones], of all user ids.

    Raises:
        ConfigError: nobody may be measured, and files or central training are to be held to their text.
    """
    agreeing, most = fleet.agreeing(TRAIN, people, 0.0), config.data.vocabulary_phones  # before the first round
    measured = sample_phones(held_out, digests, config.seed, "evaluated phones", config.evaluation.max_phones)
    counted = sample_phones(agreeing, digests, config.seed, "vocabulary phones", most)
    return counted, measured, _who_is_scored(config, fleet, measured)


def _who_is_scored(config: RunConfig, fleet: Fleet, held_out: NDArray[np.int64]) -> NDArray[np.int64]:
    """The people held out who may be measured before the first round.

    Raises:
        ConfigError: there is nobody, and files or central training are to be held to their text.
    """
    ever = fleet.consents is None or fleet.consents.times[EVALUATE].holds_from(held_out, 0.0).any()
    if not ever and (config.engine.export or config.evaluation.central):
        what = "somebody held out who agrees to being measured (or --engine.no-export, and no central training)"
        raise ConfigError(expected("--consent", what, "nobody"))
    return fleet.agreeing(EVALUATE, held_out, 0.0)


def sample_phones(
    phones: NDArray[np.int64], digests: NDArray[np.uint64], seed: int, purpose: str, most: int
) -> NDArray[np.int64]:
    """At most `most` of some phones, the same ones for the same seed and purpose; sorted."""
    if len(phones) <= most:
        return phones
    order = np.argsort(hash_uint64(purpose_key(seed, purpose), digests[phones]), kind="stable")
    return np.sort(phones[order[:most]])
