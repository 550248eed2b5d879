"""scripts/audit.py: what it refuses, what it prints and leaves; canaries on a real fleet, policy and model's layers."""

import json

import pytest

from simulation.studies.audits.audit import read_audit

CONFIG = """
rounds = 16
[cohort]
goal = 24
policy = "buffered"
min_separation_rounds = 4
[fleet]
size = 300
[data]
format = "synthetic"
vocabulary_phones = 100
[model]
vocabulary_size = 400
embedding_size = 32
units = 48
sequence_length = 10
[privacy]
mechanism = "blt"
target_epsilon = 6
clip_quantile = 0.5
clip_scope = "layer"
modelled_cohort = 2000
"""


@pytest.fixture
def config(tmp_path):
    (tmp_path / "c.toml").write_text(CONFIG)
    return tmp_path / "c.toml"


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ((), "what is attacked: expected RUN_DIR or --config FILE, found neither"),
        (("run", "--config", "c.toml"), "found both"),
        (("run", "--epsilons", "2"), "--epsilons: expected with --config"),
        (("--config", "c.toml", "--mechanisms", "tree"), "--mechanisms: expected only with --epsilons"),
        (("--config", "c.toml", "--epsilons", "0"), "--epsilons: expected a number > 0"),
        (("--config", "c.toml", "--epsilons", "2", "--mechanisms", "none"), "--mechanisms: expected one of gaussian"),
        # Before anything is read.
        (("--config", "none.toml", "--epsilons", "2", "--mechanisms", "tree", "none"), "--mechanisms: expected one of"),
        (("--config", "c.toml", "--attacks", "canaries-trained", "--quick"), "expected no --quick, since it takes"),
        (("--config", "c.toml", "--attacks", "wishing"), "--attacks: expected one of canaries"),
        (("none",), "none: expected the folder of a run, found no such folder"),
    ],
)
def test_what_cannot_be_attacked_is_refused(script_here, config, flags, said):
    (config.parent / "run").mkdir()
    done = script_here("audit.py", *flags, cwd=config.parent)
    assert done.returncode == 2 and said in done.stderr and not done.stdout


def test_settings_are_attacked_under_their_own_rules(script_here, config):
    done = script_here("audit.py", "--config", config, "--attacks", "canaries", "--quick", cwd=config.parent)
    assert done.returncode == 0 and "A passed audit proves nothing" in done.stdout, done.stderr
    audit = read_audit(config.parent / "runs" / "audit")
    found = {one.name.removeprefix("canaries: "): one for one in audit.attacks}
    assert len(found) == 6 and audit.quick and not audit.fallen
    every = found["all releases"]
    assert every.bound == pytest.approx(6, abs=0.5) and 0 < every.value < 6.6 and every.details["releases"] == 16
    alone = found["this run by itself"]  # it has 24 / 2000 of the noise, and nothing is claimed of it
    assert alone.bound is None and alone.value > 50 and "modelled deployment with 2,000" in alone.bound_is


def test_mechanisms_and_targets_make_a_table(script_here, config):
    flags = ("--epsilons", 3, "--mechanisms", "gaussian", "--seeds", 1, "--quick", "--output-dir", "out")
    done = script_here("audit.py", "--config", config, *flags, cwd=config.parent)
    assert done.returncode == 0 and "0 of 1 measure more than they claim" in done.stdout, done.stderr
    path = config.parent / "out" / "canaries.json"
    assert path.stat().st_mode & 0o077 == 0
    (row,) = json.loads(path.read_text())
    assert row["target_epsilon"] == 3 and all(one["holds"] and one["value"] <= 3.3 for one in row["attacks"])


def test_without_noise_nothing_is_claimed(script_here, config):
    text = CONFIG.partition("[privacy]")[0] + '[privacy]\nmechanism = "none"\n'
    config.write_text(text)
    done = script_here("audit.py", "--config", config, "--attacks", "canaries", cwd=config.parent)
    (one,) = read_audit(config.parent / "runs" / "audit").attacks
    assert done.returncode == 0 and one.value is None and one.bound is None and "no epsilon is finite" in one.why
