import json

import numpy as np
import pytest

from client_model.config import DataConfig
from client_model.text.population import open_population, prepare_population
from simulation.flags import parse_simulate
from simulation.run import shared_messages
from simulation.run.accepted_input import accept_input
from simulation.run.other_runs import require_admission
from simulation.run.shared_messages import MOST_SHARE, require_public, shared_share
from typefleet.errors import ConfigError


def messages(seed, number, words=8):
    rng = np.random.default_rng(seed)
    return [" ".join(f"w{j}" for j in rng.geometric(0.02, words)) for _ in range(number)]


def write(path, texts, users=9):
    rows = ({"user_id": f"{path.stem}-{i % users}", "text": text} for i, text in enumerate(texts))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def accepted(tmp_path):
    own = messages(0, 900)

    def of(corpus):
        data, public = write(tmp_path / "own.jsonl", own), write(tmp_path / "public.jsonl", corpus(own), users=5)
        flags = ["--data.path", data, "--model.init", public, "--data.cache-dir", tmp_path / "cache"]
        return accept_input(parse_simulate([*map(str, flags), "--cohort.goal", "2", "--model.units", "8"]).run)

    return of


def test_text_of_others_is_public(accepted):
    require_admission(accepted(lambda own: messages(1, 500)))
    require_admission(accepted(lambda own: [*messages(1, 500), own[3]]))  # a quotation


@pytest.mark.parametrize(
    ("corpus", "share"),
    [
        (lambda own: [*messages(1, 400), *own[:100]], "20.0%"),  # some of them
        (lambda own: own[::-1], "100.0%"),  # all of them, in another order, of other people
        (lambda own: [*messages(1, 4000), *own[:90]], "10.0%"),  # a tenth of the phones', hidden among others
    ],
)
def test_a_corpus_that_shares_messages_is_refused_with_the_share(corpus, share, accepted):
    with pytest.raises(ConfigError) as caught:
        require_admission(accepted(corpus))
    said = str(caught.value)
    assert said.startswith("--model.init: ") and said.endswith(f"found {share} of the messages of one in the other")
    assert "w1 " not in said


def test_the_phones_own_file_is_refused_under_any_name(tmp_path):
    data = write(tmp_path / "own.jsonl", messages(0, 60))
    (tmp_path / "copy.jsonl").write_bytes(data.read_bytes())
    for path in (data, tmp_path / "copy.jsonl"):
        flags = ["--data.path", data, "--model.init", path, "--data.cache-dir", tmp_path / "cache", "--cohort.goal", 2]
        run = accept_input(parse_simulate([str(flag) for flag in flags]).run)
        with pytest.raises(ConfigError, match=r"none of which is the phones' own, found the very text of --data\.path"):
            require_public(run.start, run.spec)


def test_short_messages_count_only_where_there_are_no_others(tmp_path):
    def population(name, texts):
        config = DataConfig(path=write(tmp_path / name, texts), cache_dir=tmp_path / "cache")
        return open_population(prepare_population(config, 0, None))

    short = ["ok", "yes", "see you", "good night", "on my way"]
    one = population("a.jsonl", [*messages(0, 300), *short])
    assert shared_share(one, population("b.jsonl", [*messages(1, 300), *short])) == (0.0, MOST_SHARE)
    assert shared_share(population("c.jsonl", short), population("d.jsonl", [*short[:2], "never"])) == (2 / 3, 0.5)


def test_where_only_some_digests_are_kept_both_sides_keep_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(shared_messages, "_MOST_KEPT", 200)
    own = messages(0, 3000)

    def population(name, texts):
        config = DataConfig(path=write(tmp_path / name, texts), cache_dir=tmp_path / "cache")
        return open_population(prepare_population(config, 0, None))

    share, _ = shared_share(population("a.jsonl", own), population("b.jsonl", [*own[:1500], *messages(1, 1500)]))
    assert 0.35 < share < 0.65
