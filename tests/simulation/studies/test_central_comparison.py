"""The same model trained in one place, beside the run."""

import re

import pytest


@pytest.mark.slow
def test_both_models_are_measured_on_the_same_people(straight, script, tmp_path):
    public = tmp_path / "public.jsonl"
    public.write_text('{"user_id": "a", "text": "see you soon"}\n' * 3, encoding="utf-8")
    done = script("compare_central.py", straight[0], "--training.epochs", 1, "--public-text", public)
    assert done.returncode == 0, done.stderr
    rows = {line.split("  ")[0].strip(): re.findall(r"[\d.]+", line) for line in done.stdout.splitlines()}
    federated, central = (float(rows[name][0]) for name in ("federated", "central"))
    assert central > float(rows["at the start"][0])
    assert float(rows["federated / central"][0]) == pytest.approx(federated / central, rel=0.02)
    assert "central training: 100%" in done.stdout
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
