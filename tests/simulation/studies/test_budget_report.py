import io
import json

from server_strategy.privacy.budget import BudgetRequest
from simulation.studies.budget_report import answer
from simulation.tables import console_for


def answered(request, folder, poisson=False):
    """(what is printed, the content of the file)."""
    out = io.StringIO()
    answer(console_for(out), request, poisson, folder)
    return out.getvalue(), json.loads((folder / "budget.json").read_text())


def test_even_spacing_is_said_in_text_tables_and_file(tmp_path):
    request = BudgetRequest(epsilon=8, cohort=65, rounds=60, max_participations=6, delta=1e-7)
    text, content = answered(request, tmp_path, poisson=True)
    assert "participations evenly spaced, 10 rounds apart, which nothing enforces" in text
    assert "worst spacing" in text and text.count("assumed to be evenly spaced") == 2
    assert "counterfactual, not a claim: none, since no reduction" in text
    for budget in (content["answer"], *content["at_equal_rho"].values(), *content["cohorts"]["tree"]):
        assert budget["spacing_is_assumed"] and "evenly" in budget["assumed"]["min_separation_rounds"]
        assert budget["worst_spacing_epsilon"] >= budget["epsilon"] * (1 - 1e-9)
    assert content["answer"]["worst_spacing_epsilon"] > 1.5 * content["answer"]["epsilon"]


def test_a_spacing_that_is_given_is_not_called_assumed(tmp_path):
    request = BudgetRequest("banded", epsilon=8, population=650, rounds=60, min_separation_rounds=10, delta=1e-7)
    text, content = answered(request, tmp_path)
    assert "evenly spaced" not in text and "worst spacing" not in text and "counterfactual" not in text
    assert content["answer"]["worst_spacing_epsilon"] is content["answer"]["counterfactual_sampling"] is None
    assert "assumed: reports: the largest that so many phones allow" in text
    assert all(f"supposed: {one}" in text for one in content["supposed"])
