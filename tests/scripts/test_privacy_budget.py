import json

import pytest


def test_the_published_setting_in_and_its_epsilon_out(script_here, tmp_path):
    setting = ("--noise-multiplier", 7, "--cohort", 6500, "--rounds", 2000, "--min-separation-rounds", 314)
    more = ("--max-participations", 6, "--delta", "1e-10", "--output-dir", tmp_path / "out")
    done = script_here("privacy_budget.py", "--mechanism", "tree", *setting, *more)
    assert done.returncode == 0, done.stderr
    assert " 8.898606 " in done.stdout and "2,041,000" in done.stdout  # published as 8.8986, and rounded up
    content = json.loads((tmp_path / "out" / "budget.json").read_text())
    assert content["answer"]["rho"] == pytest.approx(0.8061, rel=2e-3)
    assert content["answer"]["counterfactual_poisson_epsilon"] is None
    errors = {name: budget["error"] for name, budget in content["at_equal_rho"].items()}
    assert errors["gaussian"] > errors["tree"] > errors["blt"] > errors["banded"]
    assert all(len(row) == 5 for row in content["cohorts"].values())
    assert (tmp_path / "out" / "budget.png").read_bytes().startswith(b"\x89PNG")


def test_the_counterfactual_is_shown_only_if_asked_for_and_labelled(script_here):
    setting = ("--mechanism", "gaussian", "--noise-multiplier", 1, "--cohort", 100, "--population", 342477)
    setting += ("--rounds", 50, "--delta", "1e-6")
    assert "counterfactual" not in script_here("privacy_budget.py", *setting).stdout
    done = script_here("privacy_budget.py", *setting, "--poisson-counterfactual")
    assert "counterfactual, not a claim: epsilon 0." in done.stdout


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--epsilon", "-1"], "--epsilon: expected a number > 0, found -1.0"),
        (["--epsilon", "4"], "--rounds: expected it, or --noise-multiplier"),
        (["--rounds", "x"], "--rounds"),
    ],
)
def test_bad_input_is_one_line(script_here, flags, message):
    done = script_here("privacy_budget.py", *flags)
    assert done.returncode == 2 and message in done.stderr and done.stderr.count("\n") == 1
