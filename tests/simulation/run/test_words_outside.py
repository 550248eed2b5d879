"""Where words are from and what is said of them, by the settings alone, beside what the run itself says."""

from pathlib import Path

import pytest

from client_model.config import DataConfig, ModelConfig
from client_model.public_start import FOLDER, PUBLIC_START, RANDOM_START
from server_strategy.config import CohortConfig
from server_strategy.privacy.config import PrivacyConfig
from server_strategy.privacy.planning import make_privacy_plan
from simulation.config import RunConfig
from simulation.run.files_statement import origin_of_words
from simulation.run.starting_point import StartingPoint
from simulation.run.words_outside import origin_by_settings, says_what_is_outside, words_outside

CORPUS = StartingPoint(Path("corpus.jsonl"), None, "0" * 64, None)
SHIPPED = StartingPoint(FOLDER / "cifg_small.npz", None, "0" * 64, None)


def plan_of(counts_words, modelled=None, **privacy):
    settings = PrivacyConfig(noise_multiplier=1.0, modelled_cohort=modelled, **privacy)
    return make_privacy_plan(CohortConfig(goal=10), settings, rounds=3, num_phones=500, counts_words=counts_words)


@pytest.mark.parametrize(
    ("origin", "init", "start", "data", "plan"),
    [
        ("counted", RANDOM_START, None, DataConfig(), plan_of(False)),
        ("counted", None, None, DataConfig(), plan_of(False, modelled=1000)),
        ("private", RANDOM_START, None, DataConfig(), plan_of(True, vocabulary_epsilon=1.0)),
        ("private of a model", RANDOM_START, None, DataConfig(), plan_of(True, 1000, vocabulary_epsilon=1.0)),
        ("listed", RANDOM_START, None, DataConfig(vocabulary_path=Path("words.txt")), plan_of(False)),
        ("public", PUBLIC_START, SHIPPED, DataConfig(), plan_of(False)),
        ("public", SHIPPED.path, SHIPPED, DataConfig(), plan_of(False)),
        ("corpus", Path("corpus.jsonl"), CORPUS, DataConfig(), plan_of(False)),
    ],
)
def test_the_settings_say_the_one_origin_that_the_run_does(origin, init, start, data, plan):
    others = {"vocabulary": {"public": "shipped", "corpus": "corpus"}.get(origin, "unknown")}
    config = RunConfig(data=data, model=ModelConfig(init=init))
    assert origin_by_settings(config, plan, others) == origin_of_words(data, start, plan, others) == origin
    said = tuple(filter(None, (words_outside(data, origin), start and start.description)))
    assert says_what_is_outside(said, config, origin)
    assert says_what_is_outside((), config, origin) == (origin in ("private", "private of a model"))
    assert not said or not says_what_is_outside(("what nobody minds",), config, origin)
