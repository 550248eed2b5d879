"""Who is meant."""

import numpy as np
import pytest

from client_model.text.population import phone_labels
from client_model.text.tokenising import user_digest
from simulation.studies.phone_story.finding import find_phone
from typefleet.errors import ConfigError

NAMES = ["anna", "bob", "#1", "0123456789abcdef"]
DIGESTS = np.array([user_digest(name) for name in NAMES], np.uint64)


def test_a_phone_is_found_by_its_user_its_label_and_its_number():
    labels = phone_labels("salt", DIGESTS)
    for number, name in enumerate(NAMES):
        assert find_phone(labels[number], DIGESTS, len(NAMES), "salt") == number
        assert find_phone(name, DIGESTS, len(NAMES), "salt") == number  # "#1" is the person of that name
        if number != 1:  # the number of one phone, and the name of another
            assert find_phone(f"#{number}", DIGESTS, 0, "salt") == number


@pytest.mark.parametrize(("named", "name"), [(0, "#1"), (1, "#1")])
def test_a_name_of_one_phone_that_is_the_number_of_another_is_neither(named, name):
    with pytest.raises(ConfigError, match="found more than one phone"):
        find_phone(name, DIGESTS, named, "salt")


@pytest.mark.parametrize("named", [3, 4])
def test_a_phone_with_a_user_id_has_no_number(named):
    with pytest.raises(
        ConfigError, match="--phone: expected the user id of a phone that has one, or a label, found its"
    ):
        find_phone("#2", DIGESTS, named, "salt")


@pytest.mark.parametrize("name", ["", "carla", "#4", "#-1", "# 1", "#01", "#99999999999999", "0" * 16, "ANNA"])
def test_nobody_is_taken_for_somebody(name):
    with pytest.raises(ConfigError) as raised:
        find_phone(name, DIGESTS, 0, "salt")
    assert str(raised.value).startswith("--phone: expected")
    assert "carla" not in str(raised.value)


def test_a_label_of_another_run_is_nobodys():
    with pytest.raises(ConfigError):
        find_phone(phone_labels("salt", DIGESTS)[0], DIGESTS, 0, "pepper")
