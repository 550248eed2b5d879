"""The model that a run's settings and words make."""

import pytest

from client_model.text.vocabulary import FIRST_WORD
from simulation.config import RunConfig
from simulation.parts import Parts
from simulation.run.model import shape_of_run
from typefleet.errors import ConfigError


@pytest.mark.parametrize("words", [0, 2])
def test_fewer_words_than_are_suggested_at_once_are_refused(words):
    with pytest.raises(ConfigError, match=rf"^the vocabulary: expected 3 words or more \(.*\), found {words}$"):
        shape_of_run(RunConfig(), Parts(), FIRST_WORD + words)
    assert shape_of_run(RunConfig(), Parts(), FIRST_WORD + 3).vocabulary_size == FIRST_WORD + 3
