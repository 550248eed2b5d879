"""Who trains and who is measured."""

import numpy as np
import pytest

from client_model.text import population
from simulation.flags import parse_simulate
from simulation.run import accepted_input
from simulation.run.accepted_input import accept_input
from typefleet.errors import ConfigError


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


def not_yet(*_, **__):
    raise AssertionError("the text was read first")


@pytest.mark.parametrize(
    ("key", "found"),
    [
        ("no/such/file", "expected a file of 64 hexadecimal digits, found none"),
        ("env:TYPEFLEET_NO_SUCH_VARIABLE", "expected the name of a variable that is set"),
        ("passphrase:SHORT", "expected a passphrase of at least 12 characters"),
    ],
)
def test_a_storage_key_that_cannot_be_used_is_refused_before_the_text_is_read(key, found, monkeypatch):
    monkeypatch.setenv("SHORT", "words")
    config = parse_simulate(["--storage.key", key]).run
    with monkeypatch.context() as patched, pytest.raises(ConfigError, match=found):
        patched.setattr(accepted_input, "prepare_population", not_yet)
        accept_input(config)
    with pytest.raises(ConfigError, match=found):  # of other commands that read the text for themselves
        monkeypatch.setattr(population, "tokenised_folder", not_yet)
        population.prepare_population(config.data, 0, None, storage_key=key)
