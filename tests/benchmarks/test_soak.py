"""The soak notices what is lost; that nothing is, it shows itself, for an hour."""

import json
import shutil

import pytest

from benchmarks.soak import PLANS, ROUNDS, Tally, compare, flags_for
from simulation.flags import parse_simulate


@pytest.mark.parametrize("name", PLANS)
def test_a_plan_is_a_run_of_its_own_kind(name, tmp_path):
    config = parse_simulate(flags_for(tmp_path / "run", PLANS[name])).run
    assert config.rounds == ROUNDS and name in (config.privacy.mechanism, config.cohort.policy)


@pytest.fixture
def straight(tmp_path):
    folder = tmp_path / "straight"
    folder.mkdir()
    lines = [json.dumps({"round": number, "weights_sha256": f"{number:064x}"}) + "\n" for number in (1, 2)]
    (folder / "rounds.jsonl").write_text("".join(lines))
    (folder / "participation.json").write_text("{}")
    return folder


LOSSES = {
    "other weights": ("rounds.jsonl", lambda text: text.replace("02", "03"), "other rounds"),
    "a round less": ("rounds.jsonl", lambda text: text.split("\n")[0] + "\n", "other rounds"),
    "other participations": ("participation.json", lambda text: '{"a": 1}', "another participation.json"),
    "a ledger that does not hold": ("privacy_ledger.jsonl", lambda text: "{}\n", "privacy"),
}


@pytest.mark.parametrize("loss", LOSSES)
def test_a_loss_is_noticed(loss, straight, tmp_path):
    run, tally = shutil.copytree(straight, tmp_path / "run"), Tally()
    compare(run, straight, tally)
    assert not tally.lost
    name, change, said = LOSSES[loss]
    path = run / name
    path.write_text(change(path.read_text() if path.exists() else ""))
    compare(run, straight, tally)
    assert len(tally.lost) == 1 and said in tally.lost[0]
