import json

import numpy as np
import pytest

from client_model.text.population import open_population, prepare_population
from simulation.flags import parse_simulate
from simulation.run.preparation import prepare
from simulation.run.vocabulary import run_vocabulary
from typefleet.errors import ConfigError


def opened(tmp_path, texts, *flags):
    path = tmp_path / "messages.jsonl"
    path.write_text("".join(json.dumps({"user_id": str(i), "text": text}) + "\n" for i, text in enumerate(texts)))
    config = parse_simulate(["--data.path", str(path), "--data.cache-dir", str(tmp_path / "cache"), *flags]).run
    return config, open_population(prepare_population(config.data, 0, None))


def test_the_commonest_words_of_the_chosen_phones_in_order(tmp_path):
    config, population = opened(tmp_path, ["b b b a a c"] * 3, "--model.vocabulary-size", "16")
    vocabulary = run_vocabulary(config, population, np.arange(3), "here")
    assert vocabulary.tokens[8:] == ("b", "a", "c")


def test_a_given_list_is_taken_as_it_is(tmp_path):
    config, population = opened(tmp_path, ["b b a"])
    given = run_vocabulary(config, population, np.arange(1), "here")
    (tmp_path / "vocab.txt").write_text(given.to_text())
    config, population = opened(tmp_path, ["z"], "--data.vocabulary-path", str(tmp_path / "vocab.txt"))
    assert run_vocabulary(config, population, np.arange(1), "here") == given


def test_text_without_a_word_is_refused(tmp_path):
    config, population = opened(tmp_path, ["?!", ". ."])
    with pytest.raises(ConfigError, match="the training phones: expected words, found none"):
        run_vocabulary(config, population, np.arange(2), "the training phones")


def test_a_word_enters_if_enough_phones_wrote_it_however_often_one_of_them_did(tmp_path):
    texts = ["secret secret secret hello you", "hello you", "you hello pin", "pin"]
    config, population = opened(tmp_path, texts)
    for least, words in ((1, {"secret", "hello", "you", "pin"}), (2, {"hello", "you", "pin"}), (3, {"hello", "you"})):
        found = run_vocabulary(config, population, np.arange(4), "here", least)
        assert set(found.tokens[8:]) == words
    with pytest.raises(ConfigError, match=r"here: expected words that at least 4 phones wrote .*, found none"):
        run_vocabulary(config, population, np.arange(4), "here", 4)


def test_a_run_counts_only_words_that_three_phones_wrote_and_one_that_is_told_to_others(tmp_path):
    texts = [f"hello you 4711{i}" for i in range(8)]
    for flags, kept in (((), False), (("--data.min-phones-a-word", "1"), True)):
        config, _ = opened(tmp_path, texts, "--cohort.goal", "2", *flags)
        words = prepare(config).vocabulary.tokens[8:]
        assert {"hello", "you"} <= set(words) and any(word.startswith("4711") for word in words) == kept
