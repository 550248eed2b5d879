import io
import json

import numpy as np
import pytest

from client_model.config import DataConfig
from client_model.text.population import open_population, prepare_population
from client_model.text.vocabulary import PUNCTUATION, SPECIAL_TOKENS, Vocabulary
from simulation.flags import parse_simulate
from simulation.studies.vocabulary_price import coverage, measure_price, print_price

WORDS = [f"w{i}" for i in range(40)]


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """300 people with a few words of the same 40, the first the commonest."""
    folder, rng = tmp_path_factory.mktemp("people"), np.random.default_rng(0)
    lines = [
        {"user_id": f"u{user}", "text": " ".join(rng.choice(WORDS, 6, p=np.arange(40, 0, -1) / 820)) + " ."}
        for user in range(300)
    ]
    (folder / "messages.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def test_coverage_is_of_words_and_not_of_what_every_vocabulary_has(tmp_path):
    path = tmp_path / "m.jsonl"
    path.write_text(json.dumps({"user_id": "a", "text": "red red blue . . . ?"}) + "\n")
    population = open_population(prepare_population(DataConfig(path=path, cache_dir=tmp_path), 0, None))
    one = Vocabulary((*SPECIAL_TOKENS, *PUNCTUATION, "red"))
    assert coverage(one, population, np.arange(1)) == pytest.approx(2 / 3)
    assert coverage(Vocabulary((*SPECIAL_TOKENS, *PUNCTUATION)), population, np.arange(1)) == 0


def test_less_privacy_covers_more_and_none_at_all_covers_most(people):
    data = [
        "--data.path",
        str(people / "messages.jsonl"),
        "--data.cache-dir",
        str(people),
        "--evaluation.max-phones",
        "5",
    ]
    price = measure_price(parse_simulate(data).run, (2.0, 30.0, 0.01), 20, seeds=2)
    exact, first, second, third, public = price.rows
    assert [row.name for row in price.rows[1:4]] == [f"with noise, epsilon {e}" for e in ("30", "2", "0.01")]
    assert exact.coverage.mean == 1 and exact.words.mean >= 38 and exact.phones_for_half is None
    assert 1 >= first.coverage.mean > second.coverage.mean > 0
    assert all(0 < row.suggested.mean <= row.coverage.mean for row in (exact, first, second))
    assert first.phones_for_half < second.phones_for_half < third.phones_for_half
    assert third.coverage is None  # no word enters
    assert public.coverage.mean < 0.1
    said = io.StringIO()
    print_price(said, price, 20)
    assert "270 phones" in said.getvalue() and "5 held-out people" in said.getvalue() and "none" in said.getvalue()
