"""What a page says of a run's privacy, over what a statement can tell."""

from types import SimpleNamespace

import pytest

from simulation.report.words import privacy, privacy_facts, repeating

SAYS = "2 phones were taken out of this run for good."


def stated(**values):
    usual = {"epsilon": 3.66008, "delta": 4.4059e-07, "modelled_cohort": None, "forgotten": "", "forgotten_on": ()}
    return SimpleNamespace(**{**usual, **values})


def said(**values):
    return {one.lead: one.text for one in privacy(SimpleNamespace(finished=True), stated(**values))}


def test_the_bound_is_not_below_what_was_spent():
    text = said()["What the files have:"]
    assert text.startswith("epsilon 3.67 at delta 4.5e-07") and "e^3.67, which is 39," in text


@pytest.mark.parametrize("days", [(), ("2026-11-30",), ("2026-11-29", "2026-11-30")])
def test_phones_that_were_forgotten_are_told_with_the_day_and_whose_the_figures_are(days):
    assert "Forgotten phones:" not in said()
    text = said(forgotten=SAYS, forgotten_on=days)["Forgotten phones:"]
    assert text.startswith(SAYS) and all(day in text for day in days) and ("That was on" in text) == bool(days)
    assert "Epsilon, 3.67, and how often the busiest phone took part are of all that was ever released" in text


def test_nothing_is_told_of_what_is_not_there():
    assert list(privacy_facts(stated(epsilon=None))) == []


@pytest.mark.parametrize("noise", [None, "seeded", "secret"])
def test_of_a_run_of_two_kernels_nothing_is_promised_to_come_again(noise):
    """Its settings name one of them."""
    assert "bit for bit" in repeating(noise, [("native", 1)]) and "bit for bit" in repeating(noise)
    text = repeating(noise, [("native", 1), ("tensorflow", 6)])
    assert "native from round 1, tensorflow from round 6" in text and "bit for bit" not in text
