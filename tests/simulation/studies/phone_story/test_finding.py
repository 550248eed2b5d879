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
        assert find_phone(labels[number], DIGESTS, "salt") == number
        assert find_phone(f"#{number}", DIGESTS, "salt") == number
        if name != "#1":  # which is a number first
            assert find_phone(name, DIGESTS, "salt") == number


@pytest.mark.parametrize("name", ["", "carla", "#4", "#-1", "# 1", "#01", "#99999999999999", "0" * 16, "ANNA"])
def test_nobody_is_taken_for_somebody(name):
    with pytest.raises(ConfigError) as raised:
        find_phone(name, DIGESTS, "salt")
    assert str(raised.value).startswith("--phone: expected")
    assert "carla" not in str(raised.value)


def test_a_label_of_another_run_is_nobodys():
    with pytest.raises(ConfigError):
        find_phone(phone_labels("salt", DIGESTS)[0], DIGESTS, "pepper")
