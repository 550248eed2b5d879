"""The same model trained in one place, beside the run."""

import re
import shutil

import pytest

from client_model.config import CentralTraining
from simulation.run.central import CentralTrained, read_central, write_central
from tests.simulation.conftest import WEIGHTS_ONLY
from typefleet.errors import ConfigError


@pytest.mark.slow
def test_both_models_are_measured_on_the_same_people(straight, script, tmp_path):
    public = tmp_path / "public.jsonl"
    public.write_text('{"user_id": "a", "text": "see you soon"}\n' * 3, encoding="utf-8")
    run = shutil.copytree(straight[0], tmp_path / "run")
    done = script("compare_central.py", run, "--training.epochs", 1, "--public-text", public)
    assert done.returncode == 0, done.stderr
    rows = {line.split("  ")[0].strip(): re.findall(r"[\d.]+", line) for line in done.stdout.splitlines()}
    federated, central = (float(rows[name][0]) for name in ("federated", "central"))
    assert central > float(rows["at the start"][0])
    assert float(rows["federated / central"][0]) == pytest.approx(federated / central, rel=0.02)
    assert "central training" in done.stdout
    kept = read_central(run)
    assert (kept.epochs, f"{100 * kept.metrics['top1_recall']:.2f}") == (1, f"{central:.2f}")
    for kind in ("bigram", "trigram"):
        of_people, of_public = (float(rows[f"{kind}, {text}"][0]) for text in ("same people", "public text"))
        assert re.search(rf"{of_people:.2f} %", straight[1])  # the run counted the same
        assert of_public < of_people
    assert re.search(rf"recall, first suggestion\s+{federated:.2f} %", straight[1])  # what the run itself said


@pytest.mark.slow
def test_a_bad_public_text_is_said_before_anything_is_trained(straight, script, tmp_path):
    path = tmp_path / "bad.jsonl"
    path.write_text('{"user_id": "a", "text": "hi you"}\nsecret\n')
    for file, said in ((path, f"{path}:2: expected a JSON object"), (tmp_path / "none.jsonl", "none.jsonl: expected")):
        done = script("compare_central.py", straight[0], "--public-text", file)
        assert done.returncode == 2 and done.stderr.count("\n") == 1 and said in done.stderr
        assert "central training" not in done.stdout and "secret" not in done.stderr


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["{folder}"], "config.toml"),
        (["{folder}", "--training.epochs", "0"], "--training.epochs: expected"),
    ],
)
def test_bad_input_is_one_line(flags, message, script, tmp_path):
    done = script("compare_central.py", *(flag.format(folder=tmp_path) for flag in flags))
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
def test_a_run_that_asks_for_it_trains_centrally_once(script, tmp_path):
    run = tmp_path / "run"
    done = script("simulate.py", *WEIGHTS_ONLY, "--evaluation.central", "--output-dir", run)
    assert done.returncode == 0, done.stderr
    found = read_central(run)
    recall = f"{100 * found.metrics['top1_recall']:.2f} %"
    assert found.epochs == CentralTraining().epochs == 2
    assert f"{recall} recall, first suggestion, after 2 epochs" in done.stdout
    written = (run / "central.json").stat().st_mtime_ns
    again = script("simulate.py", "--resume", run)
    assert recall in again.stdout and (run / "central.json").stat().st_mtime_ns == written  # not made again
    done = script("compare_central.py", run)
    assert re.search(rf"central +{recall}", done.stdout)  # the same as the script
