"""A curve has at least two points; where there is one, the page says so instead."""

import re
from dataclasses import replace

import pytest

from server_strategy.privacy.rounded_up import Bound
from simulation.report.facts import LeftOut
from simulation.report.figures import epsilon_over_rounds, metrics_over_time
from simulation.report.gathering import collect_facts
from simulation.report.page import render


@pytest.fixture(scope="module")
def facts(whole_run):
    return collect_facts(whole_run)


def test_what_was_measured_once_is_said_and_not_drawn(facts):
    once = replace(facts, rounds=facts.rounds[:1])
    charts, epsilon = metrics_over_time(once), epsilon_over_rounds(once)
    assert isinstance(charts, LeftOut) and "measured once, after round 1" in charts.reason
    spent = facts.rounds[0]["epsilon"]
    assert isinstance(epsilon, LeftOut) and epsilon.reason.endswith(f"it is {Bound(spent):.2f} after it")
    page = render(once)
    assert page.count("<svg") == 4 and charts.reason in page  # the funnel, and where the time went


def test_two_measurements_are_a_curve(facts):
    twice = replace(facts, rounds=facts.rounds[:2])
    assert len(metrics_over_time(twice)) == 4
    assert "after round 2" in epsilon_over_rounds(twice).svg
    assert len(re.findall(r">0(\.0+)?<", epsilon_over_rounds(twice).svg)) == 2  # both axes begin with nothing
    dated = [{**facts.rounds[0], "closed_s": None}, facts.rounds[1]]
    assert len(metrics_over_time(replace(facts, rounds=dated))) == 2  # one moment is known, of two


def test_a_round_out_of_its_band_is_said_drawn_and_in_the_table(facts):
    losses = [4 + 0.01 * (number % 7) for number in range(40)]
    calm = [{**facts.rounds[0], "round": number + 1, "loss": loss} for number, loss in enumerate(losses)]
    page = render(replace(facts, rounds=calm))
    assert "No round's statistics left the band" in page.replace("&#39;", "'") and "Loss of each round" not in page
    jumped = [*calm[:30], {**calm[30], "loss": 7.0}, *calm[31:]]
    page = render(replace(facts, rounds=jumped))
    assert "One value left the band" in page and "Loss of each round" in page
    assert "out of it: 7 nats per token in round 31." in page
    assert re.search(
        r'<th scope="row">31</th><td>loss</td><td class="n">7 nats per token</td><td class="n">\S+ to', page
    )


def test_of_few_rounds_no_band_is_made(facts):
    assert "Not judged: no statistic was told of more than" in render(facts)
