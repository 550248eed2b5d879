"""The same model trained in one place, beside the run."""

import io
import re
import shutil
from types import SimpleNamespace

import pytest
import tensorflow  # noqa: F401  now, so that it has one thread whatever test comes first

from client_model.config import CentralTraining
from client_model.metrics.counting_baselines import Baselines
from client_model.metrics.intervals import over_people
from client_model.metrics.keyboard_metrics import TOP1_RECALL
from simulation.commands.compare_central import main as compare_central
from simulation.run.central import CentralTrained, read_central, write_central
from simulation.studies.central_comparison import CentralComparison, Model, over_seeds_of, print_comparison
from tests.simulation.conftest import WEIGHTS_ONLY, simulated
from tests.simulation.engine_in_process import EngineInProcess
from tests.simulation.studies.run_folders import counts_of
from typefleet.errors import ConfigError


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """(folder, what was printed) of a run that asks for central training."""
    folder, few = tmp_path_factory.mktemp("central") / "run", ("--fleet.size", 150, "--cohort.goal", 4)
    return folder, simulated(EngineInProcess(), (*WEIGHTS_ONLY, *few, "--evaluation.central", "--output-dir", folder))


@pytest.mark.slow
def test_both_models_are_measured_on_the_same_people(asked, script_forked, tmp_path):
    public = tmp_path / "public.jsonl"
    public.write_text('{"user_id": "a", "text": "see you soon"}\n' * 3, encoding="utf-8")
    run = shutil.copytree(asked[0], tmp_path / "run")
    (run / "central.json").unlink()
    done = script_forked("compare_central.py", run, "--training.epochs", 1, "--public-text", public, "--seeds", 2)
    assert done.returncode == 0, done.stderr
    rows = {line.split("  ")[0].strip(): re.findall(r"[\d.]+", line) for line in done.stdout.splitlines()}
    federated, central = (float(rows[name][0]) for name in ("federated", "central"))
    assert central > float(rows["at the start"][0])
    assert float(rows["federated / central"][0]) == pytest.approx(federated / central, rel=0.02)
    assert "central training" in done.stdout and "central, 2 seeds" in rows
    assert float(rows["central - federated"][0]) == pytest.approx(central - federated, abs=0.011)
    kept = read_central(run)
    assert (kept.epochs, f"{100 * kept.metrics['top1_recall']:.2f}") == (1, f"{central:.2f}")
    for kind in ("bigram", "trigram"):
        of_people, of_public = (float(rows[f"{kind}, {text}"][0]) for text in ("same people", "public text"))
        assert re.search(rf"{of_people:.2f} %", asked[1])  # the run counted the same
        assert of_public != of_people
    assert re.search(rf"recall, first suggestion\s+{federated:.2f} %", asked[1])  # what the run itself said


@pytest.mark.slow
def test_a_bad_public_text_is_said_before_anything_is_trained(straight, script_here, tmp_path):
    path = tmp_path / "bad.jsonl"
    path.write_text('{"user_id": "a", "text": "hi you"}\nsecret\n')
    for file, said in ((path, f"{path}:2: expected a JSON object"), (tmp_path / "none.jsonl", "none.jsonl: expected")):
        done = script_here("compare_central.py", straight[0], "--public-text", file)
        assert done.returncode == 2 and done.stderr.count("\n") == 1 and said in done.stderr
        assert "central training" not in done.stdout and "secret" not in done.stderr


def models(seeds=1):
    """A comparison of models that are worth as much as they are said to be, on the same people."""

    def model(skill):
        counted = counts_of(0, skill)
        return Model({TOP1_RECALL.name: TOP1_RECALL.value(counted.sums())}, counted.counts)

    central = tuple(model(0.05 + 0.002 * seed) for seed in range(seeds))
    return CentralComparison(model(0.0), model(0.03), central[0], central, None)


def test_what_is_between_the_models_is_taken_person_by_person():
    found = models(3)
    left, ratio = found.left_to_gain(TOP1_RECALL), found.ratio(TOP1_RECALL)
    values = [model.metrics[TOP1_RECALL.name] for model in (found.federated, found.central)]
    assert left.mean == pytest.approx(values[1] - values[0]) and ratio.mean == pytest.approx(values[0] / values[1])
    alone = over_people(TOP1_RECALL, found.central.counts)
    assert left.half_width < alone.half_width / 5  # people differ; what the one model has beyond the other does not
    over = over_seeds_of(found, TOP1_RECALL)
    assert (over.number, over.over) == (3, "seeds") and over.half_width > 0


@pytest.mark.parametrize("seeds", [1, 2])
def test_the_table_has_an_interval_beside_each_figure_and_says_of_what(seeds):
    prepared = SimpleNamespace(
        metrics=SimpleNamespace(compared=[TOP1_RECALL]),
        baselines=lambda: Baselines(bigram_top1=0.1),
        people_to_score=range(40),
    )
    said = io.StringIO()
    print_comparison(said, models(seeds), prepared)
    rows = {line.split("  ")[0].strip(): line for line in said.getvalue().splitlines()}
    for name in ("at the start", "federated", "central", "federated / central", "central - federated"):
        assert "±" in rows[name]
    assert "points" in rows["central - federated"] and "over the 40 people" in said.getvalue()
    assert ("that wide because of two seeds" in said.getvalue()) == ("central, 2 seeds" in rows) == (seeds == 2)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["{folder}"], "config.toml"),
        (["{folder}", "--training.epochs", "0"], "--training.epochs: expected"),
        (["{folder}", "--seeds", "0"], "--seeds: expected a number >= 1 and <= 10000, found 0"),
    ],
)
def test_bad_input_is_one_line(flags, message, script_here, tmp_path):
    done = script_here("compare_central.py", *(flag.format(folder=tmp_path) for flag in flags))
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and message in done.stderr


def test_what_is_kept_is_read_and_another_file_is_refused(tmp_path):
    assert read_central(tmp_path) is None
    found = CentralTrained(2, 1.0, {"top1_recall": 0.2, "perplexity": None})
    write_central(tmp_path, found)
    assert read_central(tmp_path) == found
    for text in ("{}", "[]", "secret", '{"epochs": 1, "learning_rate": 1.0, "metrics": "secret"}'):
        (tmp_path / "central.json").write_text(text)
        with pytest.raises(ConfigError, match=r"central\.json.*: expected what central training reached") as caught:
            read_central(tmp_path)
        assert "secret" not in str(caught.value)


@pytest.mark.slow
def test_a_run_that_asks_for_it_trains_centrally_once(asked, simulate, capsys):
    run, printed = asked
    found = read_central(run)
    recall = f"{100 * found.metrics['top1_recall']:.2f} %"
    assert found.epochs == CentralTraining().epochs == 2
    assert f"{recall} (2 epochs)" in printed
    written = (run / "central.json").stat().st_mtime_ns
    again = simulate("--resume", run)
    assert "is finished" in again and (run / "central.json").stat().st_mtime_ns == written  # not made again
    compare_central([str(run)])
    value = recall.removesuffix(" %")
    assert re.search(rf"central +{value} ± [\d.]+ %", capsys.readouterr().out)  # the same as the script
