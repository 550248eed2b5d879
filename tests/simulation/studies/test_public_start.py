"""What ships for phones to begin with, and how it is made."""

import gzip
import json

import numpy as np
import pytest

from client_model.config import PUBLIC_SHAPES
from client_model.learning.language_model import model_shape
from client_model.public_start import FOLDER, everyday_words
from client_model.text.vocabulary import PUNCTUATION, SPECIAL_TOKENS, read_vocabulary
from simulation.flags import parse_simulate, result_settings, to_toml
from simulation.run.accepted_input import accept_input
from simulation.run.directory import read_weights
from simulation.run.starting_point import starting_weights
from simulation.studies.public_start import PublicTraining, model_of, public_vocabulary, train_public_start
from typefleet.errors import ConfigError, InputError

FIXED = len(SPECIAL_TOKENS) + len(PUNCTUATION)
ROWS = [
    *[("books", "The old house saw Basil and his dog . Then Basil went home .")] * 4,
    *[("tasks", "Please book a table for Basil at noon .")] * 40,
    ("books", "a rarely seen thing"),
]


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "public.jsonl"
    rows = ({"user_id": f"u{i}", "text": text, "source": source} for i, (source, text) in enumerate(ROWS))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def words(corpus, size, always=()):
    return public_vocabulary(corpus, FIXED + size, lambda: list(always)).tokens[FIXED:]


def test_names_stay_out_and_words_that_begin_sentences_do_not(corpus):
    found = words(corpus, 100)
    assert "basil" not in found
    assert {"the", "then", "please", "house", "table"} <= set(found)


def test_a_word_that_one_source_writes_small_is_no_name_though_another_one_does_not(tmp_path):
    rows = [
        *[("tasks", "I want a hotel in New York near Park Lane .")] * 50,
        *[("sentences", "I want a new car .")] * 10,
        *[("sentences", "They sat in the park .")] * 9,  # too few
    ]
    path = tmp_path / "public.jsonl"
    path.write_text("".join(json.dumps({"user_id": "u", "text": text, "source": s}) + "\n" for s, text in rows))
    found = words(path, 100)
    assert "new" in found and not {"york", "lane", "park"} & set(found)


def test_each_source_counts_alike(corpus):
    assert {"his", "dog"} & set(words(corpus, 12))  # though the other one has ten times as many messages


def test_everyday_words_are_in_whatever_the_corpus_says(corpus):
    found = words(corpus, 4, ["lol", "i'm", "basil"])
    assert {"lol", "i'm", "basil"} < set(found) and len(found) == 4
    with pytest.raises(
        ConfigError, match=rf"--model\.vocabulary-size: expected {FIXED + 3} or more, found {FIXED + 2}"
    ):
        words(corpus, 2, ["lol", "i'm", "basil"])


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (None, "found no such file"),
        ("{", ":1: expected a JSON object, found invalid JSON"),
        ("3\n", ":1: expected a JSON object"),
    ],
)
def test_a_corpus_that_is_none_is_refused_in_one_line(content, found, tmp_path):
    path = tmp_path / "c.jsonl"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError) as error:
        public_vocabulary(path, 100)
    assert found in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "content", [b"no gzip", gzip.compress(b'{"text": "hi"}' * 99)[:-9], gzip.compress(b"[" * 99_999)]
)
def test_a_damaged_corpus_is_refused_in_one_line_without_its_content(content, tmp_path):
    path = tmp_path / "c.jsonl.gz"
    path.write_bytes(content)
    with pytest.raises(InputError) as error:
        public_vocabulary(path, 100)
    assert str(error.value).count("\n") == 0 and "no gzip" not in str(error.value) and "c.jsonl.gz" in str(error.value)


def test_weights_of_another_vocabulary_are_not_left_beside_it(corpus, tmp_path):
    (tmp_path / "small.npz").write_bytes((FOLDER / "small.npz").read_bytes())
    (tmp_path / "vocab.txt").write_bytes((FOLDER / "vocab.txt").read_bytes())
    with pytest.raises(
        ConfigError, match=r"--output-dir: expected a folder whose small.npz have the vocabulary of this"
    ):
        train_public_start(corpus, PublicTraining(shape="deep"), tmp_path)
    assert (tmp_path / "vocab.txt").read_bytes() == (FOLDER / "vocab.txt").read_bytes()


@pytest.mark.slow
def test_the_same_corpus_packed_or_not_gives_the_same_files(script_forked, corpus, tmp_path):
    flags, packed = ("--training.epochs", 1, "--training.shape", "deep"), tmp_path / "packed.jsonl.gz"
    packed.write_bytes(gzip.compress(corpus.read_bytes()))
    done = script_forked("train_public_start.py", corpus, *flags, "--output-dir", tmp_path / "one")
    assert done.returncode == 0 and done.stdout.splitlines()[-1].startswith("100%"), done.stderr
    train_public_start(packed, PublicTraining(shape="deep", epochs=1), tmp_path / "two", lambda said: None)
    for file in ("deep.npz", "vocab.txt", "deep.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_passes_over_a_source_that_is_none_are_refused(corpus, tmp_path):
    with pytest.raises(ConfigError, match=r"--training\.source-passes: expected sources of .*, found newspapers"):
        train_public_start(corpus, PublicTraining(source_passes={"books": 2.0, "newspapers": 1.0}), tmp_path)
    assert not list(tmp_path.glob("*.npz"))


@pytest.mark.parametrize("name", PUBLIC_SHAPES)
def test_what_ships_is_small_and_whole(name):
    files = [FOLDER / f"{name}.npz", FOLDER / "vocab.txt"]
    assert sum(file.stat().st_size for file in files) <= (1.6e6 if name == "large" else 1.5e6)
    vocabulary = read_vocabulary(files[1])
    assert len(vocabulary) == 5000 and set(everyday_words()) <= set(vocabulary.tokens)
    assert not {"basil", "london", "mary"} & set(vocabulary.tokens)
    read_weights(files[0], model_shape(model_of(name), len(vocabulary)))


def test_whoever_is_to_be_named_is():
    assert {"CC BY-SA 4.0", "CC0 1.0", "CC BY 2.0 FR"} <= {
        cell.strip() for line in (FOLDER / "NOTICE.md").read_text().splitlines() for cell in line.split("|")
    }


def test_a_run_starts_from_it_and_says_so(tmp_path):
    config = parse_simulate(["--model.init", "public", "--fleet.size", "200"]).run
    accepted = accept_input(config)
    assert accepted.start is not None and "ship with Typefleet" in accepted.start.description
    assert accepted.given_vocabulary == read_vocabulary(FOLDER / "vocab.txt")
    shape = model_shape(config.model, len(accepted.given_vocabulary))
    weights = starting_weights(accepted.start, config, shape)
    assert all(weight.dtype == np.float32 for weight in weights)


def test_its_name_stays_a_name_in_the_settings_that_a_run_keeps():
    config = parse_simulate(["--model.init", "public"]).run
    assert 'init = "public"' in to_toml(config) and result_settings(config)["model.init"] == "public"


@pytest.mark.parametrize(
    "flags",
    [("--model.units", "100"), ("--model.preset", "gboard"), ("--model.cell", "stacked", "--model.layers", "3")],
)
def test_another_model_does_not_start_from_it(flags):
    config = parse_simulate(["--model.init", "public", *flags, "--fleet.size", "200"]).run
    with pytest.raises(
        ConfigError, match=r"--model\.init public: expected a model that has public weights .*, found another"
    ):
        accept_input(config)
