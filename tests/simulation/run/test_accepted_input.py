"""Who trains and who is measured."""

import numpy as np
import pytest

from simulation.flags import parse_simulate
from simulation.run.accepted_input import accept_input


def phones(people, seed):
    flags = ["--fleet.size", "300", "--evaluation.max-phones", "1000", "--cohort.goal", "5"]
    accepted = accept_input(parse_simulate([*flags, "--evaluation.people", people, "--seed", str(seed)]).run)
    return accepted.training_phones, accepted.held_out_phones


@pytest.mark.parametrize("seed", [0, 1])
def test_validation_people_are_taken_from_those_who_train_and_nobody_who_is_held_out_is_read(seed):
    training, held_out = phones("held-out", seed)
    fewer, validation = phones("validation", seed)
    np.testing.assert_array_equal(np.sort(np.concatenate([fewer, validation])), training)
    assert (len(training), len(held_out), len(fewer), len(validation)) == (270, 30, 243, 27)
    assert not np.intersect1d(held_out, np.concatenate([fewer, validation])).size


@pytest.mark.parametrize("people", ["held-out", "validation"])
def test_a_fleet_larger_than_the_people_trains_on_text_of_those_who_train_alone(people):
    flags = ["--fleet.size", "3000", "--evaluation.people", people, "--data.vocabulary-phones", "3000"]
    accepted = accept_input(parse_simulate(flags).run)
    assert accepted.spec.num_people == 1315 and len(accepted.digests) == 3000
    further = np.arange(1315, 3000)
    assert set(further) <= set(accepted.training_phones.tolist())
    assert not set(further) & {*accepted.held_out_phones.tolist(), *accepted.counted_phones.tolist()}
    assert set(accepted.counted_phones.tolist()) == set(accepted.training_phones.tolist()) - set(further.tolist())
