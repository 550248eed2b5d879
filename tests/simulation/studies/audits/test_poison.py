"""Attackers push a word into a small model, and their figures; which trainings are played."""

import json
from itertools import groupby

import pytest

from server_strategy.robust.config import least_buckets
from server_strategy.robust.rules import RULES
from simulation.studies.audits.attack import Attack
from simulation.studies.audits.poison import _FULL, _QUICK, cases_of, poison, poisoned
from simulation.studies.audits.poison_attacks import as_attacks
from simulation.studies.audits.poison_play import CLIPPING, NORM, NOTHING
from simulation.studies.audits.poisoners import ADAPTIVE, ATTACKS, NOBODY, REPLACEMENT
from simulation.studies.audits.table import draw
from tests.simulation.studies.audits.test_memorisation import subject

PLAYED = (CLIPPING, NOTHING, NORM, "krum")


@pytest.fixture(scope="module")
def attacked():
    some = subject(90, epochs=6)
    return some, poisoned(some, [case for case in cases_of(True, 90) if case.defence in PLAYED])


@pytest.mark.slow
def test_boosted_updates_push_a_word_where_nothing_clips_and_not_where_something_does(attacked):
    _, found = attacked
    by_case = {(one.attack, one.defence): one for one in found}
    assert {defence for _, defence in by_case} == set(PLAYED)
    for defence in PLAYED:
        untouched = by_case[NOBODY, defence]
        assert untouched.attackers == 0 and untouched.suggested == 0 and 0 <= untouched.recall <= 1
    replaced = by_case[REPLACEMENT, NOTHING]
    assert replaced.success > 0.5 and replaced.attackers == 6 and replaced.phones == 60
    for defence in (CLIPPING, NORM):
        assert by_case[REPLACEMENT, defence].rank > 3 * replaced.rank
    assert by_case[ADAPTIVE, CLIPPING].rank < by_case[NOBODY, CLIPPING].rank


@pytest.mark.slow
def test_figures_are_attacks_and_a_picture(attacked, tmp_path):
    some, found = attacked
    told = as_attacks(found, some, CLIPPING, _QUICK.assumed_share)
    names = [one.name.removeprefix("poison: ") for one in told]
    others = [f"worst with {defence}" for defence in PLAYED if defence != CLIPPING]
    assert sorted(names) == sorted([*ATTACKS, *others, "not finite", "huge"])
    by_name = dict(zip(names, told, strict=True))
    assert by_name["not finite"].value == 0 and by_name["not finite"].holds and by_name["huge"].holds
    assert by_name["worst with no clipping"].low > 0.2 and by_name["worst with no clipping"].bound is None
    read = [Attack.from_json(json.loads(json.dumps(one.to_json())), "a file") for one in told]
    (path,) = draw(tmp_path, read)
    assert path.name == "poison.png" and path.read_bytes().startswith(b"\x89PNG")


def test_of_too_few_phones_nothing_is_measured():
    (one,) = poison(subject(40))
    assert one.value is None and "too few phones train: 36" in one.why


@pytest.mark.parametrize("quick", [True, False])
@pytest.mark.parametrize("phones", [320, 1000, 2000])
def test_who_is_compared_with_whom_is_played_before(quick, phones):
    cases = cases_of(quick, phones)
    assert len(set(cases)) == len(cases)
    for (share, defence), own in groupby(
        sorted(cases, key=lambda c: (c.share, c.defence)), lambda c: (c.share, c.defence)
    ):
        first = min(own, key=cases.index)
        assert first.attack == NOBODY, (share, defence)
    assert cases[0].defence == CLIPPING
    assert {case.share for case in cases} == ({0.1} if quick else {0.01, 0.05, 0.2, *((0.001,) * (phones >= 1000))})


@pytest.mark.parametrize("setting", [_FULL, _QUICK])
@pytest.mark.parametrize("rule", RULES)
def test_the_rules_withstand_what_they_are_told(setting, rule):
    assert least_buckets(rule, setting.spoiled) <= setting.buckets
