"""The soak notices what is lost; that nothing is, it shows itself, for an hour."""

import json
import shutil

import pytest

from benchmarks.measure import BenchmarkError
from benchmarks.soak import PLANS, ROUNDS, Flags, Soak, flags_for
from benchmarks.soak_results import Comparison, Kill, Results, losses
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
    run = shutil.copytree(straight, tmp_path / "run")
    assert not losses(run, straight)
    name, change, said = LOSSES[loss]
    path = run / name
    path.write_text(change(path.read_text() if path.exists() else ""))
    (lost,) = losses(run, straight)
    assert said in lost


def kill(run="tree-1", **values):
    usual = {"plan": "tree", "kind": "driver", "hit": True, "after_s": 5.0, "rounds_before": 0, "rounds_after": 4}
    return Kill(run=run, **{**usual, "exit_code": -9, "ended_s": 0.1, "left": 0, "lost": "", "load": 1.0, **values})


def test_results_are_those_of_all_slices(tmp_path):
    path = tmp_path / "soak.jsonl"
    first = Results(path)
    first.add(kill())
    first.add(kill(hit=False, kind="gcs", exit_code=0))
    first.add(Comparison("tree", "tree-1", []))
    with path.open("a") as file:
        file.write('{"plan": "tr')  # killed while it wrote
    second = Results(path)
    assert (second.kills, second.comparisons) == (first.kills, first.comparisons)
    second.add(kill("blt-1", plan="blt", kind="Ctrl-C twice", ended_s=2.5, left=1))
    second.add(Comparison("blt", "blt-1", ["blt-1: other rounds"]))
    third = Results(path)
    assert (third.number, third.kills_of("tree"), third.compared) == (2, 1, {"tree-1", "blt-1"})
    assert list(third.told()) == [
        "2 kills: 1 blt, 1 tree",
        "2 kills: 1 Ctrl-C twice, 1 driver",
        "the slowest driver ended after 2.5 s (Ctrl-C twice, load 1)",
        "2 runs compared, 1 lost, 1 processes left",
        "blt-1: other rounds",
    ]


@pytest.mark.parametrize("line", ["[]", "{}", '{"kind": 1}', "not JSON"])
def test_another_file_is_refused(tmp_path, line):
    (tmp_path / "soak.jsonl").write_text(line + "\n")
    with pytest.raises(BenchmarkError, match=r"soak\.jsonl:1: expected a line of a soak"):
        Results(tmp_path / "soak.jsonl")


def test_slices_take_turns_and_go_on_where_the_last_one_ended(tmp_path, monkeypatch):
    """Without the runs themselves: what is killed next, and what is compared."""
    asked, killed = [], []

    def one(name, run, straight, log, drawn):
        asked.append((run.name, drawn.random()))
        run.mkdir(exist_ok=True)
        killed.append(run)
        if killed.count(run) == 2:  # it comes to its end
            shutil.copytree(straight, run, dirs_exist_ok=True)
        return kill(run.name, plan=name)

    def lead(self, name, run):
        shutil.copytree(self.folder / name, run, dirs_exist_ok=True)
        self._compare(name, run)

    for name in ("tree", "blt"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "participation.json").write_text("{}")
    monkeypatch.setattr("benchmarks.soak.killed_once", one)
    monkeypatch.setattr(Soak, "_lead_to_its_end", lead)
    flags = Flags(kills=7, at_most=3, plans=("tree", "blt"))
    for _ in range(4):  # the last has nothing to do
        Soak(tmp_path, flags).slice()
    names = [name for name, _ in asked]
    assert names == ["tree-1", "blt-1", "tree-1", "blt-2", "tree-2", "blt-2", "tree-3"]
    assert len({moment for _, moment in asked}) == 7
    assert Results(tmp_path / "soak.jsonl").compared == {"tree-1", "blt-1", "tree-2", "blt-2", "tree-3"}
