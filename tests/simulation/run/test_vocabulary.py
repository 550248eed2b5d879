import json

import numpy as np
import pytest

from client_model.text.formats.json_lines import JsonLines
from client_model.text.population import open_population, prepare_population
from simulation.flags import parse_simulate
from simulation.parts import Parts
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
    vocabulary = run_vocabulary(config, population, np.arange(3), "here", 1)
    assert vocabulary.tokens[8:] == ("b", "a", "c")


def test_a_given_list_is_taken_as_it_is(tmp_path):
    config, population = opened(tmp_path, ["b b a"])
    given = run_vocabulary(config, population, np.arange(1), "here", 1)
    (tmp_path / "vocab.txt").write_text(given.to_text())
    config, population = opened(tmp_path, ["z"], "--data.vocabulary-path", str(tmp_path / "vocab.txt"))
    assert run_vocabulary(config, population, np.arange(1), "here", 1) == given


def test_text_without_a_word_is_refused(tmp_path):
    config, population = opened(tmp_path, ["?!", ". ."])
    with pytest.raises(ConfigError, match="the training phones: expected words, found none"):
        run_vocabulary(config, population, np.arange(2), "the training phones", 1)


def test_a_word_enters_if_enough_phones_wrote_it_however_often_one_of_them_did(tmp_path):
    texts = ["secret secret secret hello you", "hello you", "you hello pin", "pin"]
    config, population = opened(tmp_path, texts)
    for least, words in ((1, {"secret", "hello", "you", "pin"}), (2, {"hello", "you", "pin"}), (3, {"hello", "you"})):
        found = run_vocabulary(config, population, np.arange(4), "here", least)
        assert set(found.tokens[8:]) == words
    with pytest.raises(ConfigError, match=r"here: expected words that at least 4 phones wrote .*, found none"):
        run_vocabulary(config, population, np.arange(4), "here", 4)


def test_a_run_counts_only_words_that_several_phones_wrote_and_one_never_suffices(tmp_path):
    texts = [f"hello you there 4711{i} {'pair' if i < 2 else ''}" for i in range(40)]  # the two may be held out
    for flags, kept in (((), False), (("--data.min-phones-a-word", "2", "--data.held-out-share", "0.02"), True)):
        config, _ = opened(tmp_path, texts, "--cohort.goal", "2", *flags)
        words = prepare(config).vocabulary.tokens[8:]
        assert {"hello", "you", "there"} <= set(words) <= {"hello", "you", "there", "pair"}
        assert ("pair" in words) == kept
    with pytest.raises(ConfigError, match=r"--data\.min-phones-a-word: expected a number >= 2, found 1"):
        opened(tmp_path, texts, "--data.min-phones-a-word", "1")


SECRETS = {7: "4111111111111111", 8: "5500005555555559"}  # of these phones; one at most is held out


def planted(tmp_path, phones=40):
    """Messages in which each of two phones repeats a number that nobody else wrote."""
    path = tmp_path / "planted.jsonl"
    lines = [{"user_id": str(i), "text": "see you at the pool"} for i in range(phones) for _ in range(3)]
    lines += [{"user_id": str(i), "text": f"my card is {own} {own}"} for i, own in SECRETS.items() for _ in range(99)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.mark.parametrize(
    "way",
    [
        ["--data.path", "PLANTED"],
        ["--data.path", "PLANTED", "--fleet.size", "90"],  # further phones draw from people, the one among them
        ["--data.format", "synthetic", "--fleet.size", "50", "--model.init", "PLANTED"],
        ["--data.path", "PLANTED", "--model.init", "RUN"],
    ],
    ids=["counted", "further phones", "a corpus to start from", "a run to start from"],
)
def test_what_one_phone_alone_wrote_is_in_no_vocabulary(way, tmp_path):
    usual = ["--data.cache-dir", str(tmp_path / "cache"), "--cohort.goal", "2", "--model.vocabulary-size", "60"]
    usual += ["--data.held-out-share", "0.02", "--model.embedding-size", "4", "--model.units", "4"]
    path = str(planted(tmp_path))

    def vocabulary_of(flags):
        flags = [path if flag == "PLANTED" else flag for flag in flags]
        return prepare(parse_simulate([*flags, *usual]).run).vocabulary

    if "RUN" in way:  # that was counted on the same phones
        counted = vocabulary_of(["--data.path", "PLANTED"])
        (tmp_path / "run" / "model").mkdir(parents=True)
        (tmp_path / "run" / "model" / "vocab.txt").write_text(counted.to_text())
        (tmp_path / "run" / "model" / "weights.npz").touch()
        way = [str(tmp_path / "run") if flag == "RUN" else flag for flag in way]
        usual = [flag for flag in usual if flag not in ("--model.vocabulary-size", "60")]
    words = set(vocabulary_of(way).tokens[8:])
    assert words.isdisjoint(SECRETS.values()) and "pool" in words


def test_nor_what_is_read_by_a_format_that_is_handed_in(tmp_path):
    flags = ["--data.path", str(planted(tmp_path)), "--data.cache-dir", str(tmp_path / "cache"), "--cohort.goal", "2"]
    words = prepare(parse_simulate(flags).run, parts=Parts(message_format=JsonLines())).vocabulary.tokens
    assert "pool" in words and set(SECRETS.values()).isdisjoint(words)


def test_a_corpus_of_one_writer_keeps_all_its_words(tmp_path):
    path = tmp_path / "book.jsonl"
    path.write_text(json.dumps({"user_id": "author", "text": "call me ishmael"}) + "\n")
    flags = ["--model.init", str(path), "--data.cache-dir", str(tmp_path / "cache"), "--data.format", "synthetic"]
    words = prepare(parse_simulate([*flags, "--fleet.size", "50", "--cohort.goal", "2"]).run).vocabulary.tokens
    assert "ishmael" in words


def test_of_a_corpus_of_two_writers_only_what_both_wrote_is_kept(tmp_path):
    path = tmp_path / "letters.jsonl"
    lines = [("ann", "meet me at noon"), ("ann", "4929123456781234"), ("bob", "at noon meet")]
    path.write_text("".join(json.dumps({"user_id": who, "text": text}) + "\n" for who, text in lines))
    flags = ["--model.init", str(path), "--data.cache-dir", str(tmp_path / "cache"), "--data.format", "synthetic"]
    words = prepare(parse_simulate([*flags, "--fleet.size", "50", "--cohort.goal", "2"]).run).vocabulary.tokens
    assert {"meet", "at", "noon"} <= {*words} and not {"4929123456781234", "me"} & {*words}
