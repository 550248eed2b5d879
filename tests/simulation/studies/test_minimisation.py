"""What less text costs is measured on the same people, whatever was cut, and each share is of what is there."""

import json

import numpy as np
import pytest

from simulation.flags import parse_simulate
from simulation.run.accepted_input import accept_input
from simulation.studies.minimisation import ALL, measure_minimisation


@pytest.fixture(scope="module")
def flags(tmp_path_factory):
    """40 phones; what each wrote last, and an address in every tenth message."""
    rng, folder = np.random.default_rng(5), tmp_path_factory.mktemp("less")
    words = [f"w{n}" for n in range(30)]
    rows = []
    for n in range(400):
        text = " ".join(words[int(w)] for w in rng.geometric(0.2, 6) % 30)
        rows.append({"user_id": f"u{n % 40}", "text": f"{text} me@example.com" if n % 10 == 0 else text})
    (folder / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return ["--data.path", str(folder / "m.jsonl"), "--data.cache-dir", str(folder / "cache"), "--cohort.goal", "5"]


def test_less_text_is_a_smaller_share_and_all_of_it_loses_nothing(flags):
    config = parse_simulate(flags).run
    found = measure_minimisation(config, (12, 10_000), (), seeds=2)
    assert [row.name for row in found.rows] == [ALL, "newest 10,000 tokens", "newest 12 tokens"]
    whole, same, less = found.rows
    assert whole.first_lost is None and whole.kept.mean == same.kept.mean == 1
    assert same.first == whole.first and same.first_lost.mean == 0
    assert 0.1 < less.kept.mean < 0.25 and less.first.mean < whole.first.mean and whole.three.mean > whole.first.mean
    assert less.first_lost.mean == pytest.approx(whole.first.mean - less.first.mean)
    assert (found.training_phones, found.held_out_phones) == (36, 4)


def test_redacted_text_is_measured_on_what_people_wrote(flags):
    pytest.importorskip("phonenumbers")
    config = parse_simulate(flags).run
    whole, mask, drop = measure_minimisation(config, (), ("mask", "drop"), seeds=1).rows
    tokens = accept_input(config)
    lengths = [tokens.population.message_lengths(phone) for phone in tokens.counted_phones]
    long = sum(int((one == 10).sum()) for one in lengths)  # with an address, of four tokens
    total = sum(int(one.sum()) for one in lengths)
    assert mask.kept.mean == pytest.approx(1 - 3 * long / total) and drop.kept.mean == pytest.approx(
        1 - 10 * long / total
    )
    assert mask.first_lost.mean == pytest.approx(whole.first.mean - mask.first.mean)


def test_nothing_to_cut_is_refused_in_one_line(script_here):
    done = script_here("price_minimisation.py", "--tokens")
    assert done.returncode == 2 and done.stderr.startswith("error: --tokens: expected")
    done = script_here("price_minimisation.py", "--data.keep-tokens", "5")
    assert (
        done.stderr
        == "error: --data.keep-tokens: expected only for a run that trains, found it for one that does not\n"
    )
