import json
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server_strategy.privacy.accounting import epsilon_of_gaussian, gaussian_rho
from server_strategy.privacy.ledger import (
    LedgerError,
    ParticipationLog,
    PrivacyLedger,
    encode_labels,
    half_written_line,
    privacy_after,
    privacy_spent,
    recompute,
)
from server_strategy.privacy.ledger_lines import chained
from server_strategy.privacy.mechanisms.blt import BufferedToeplitzNoise
from server_strategy.privacy.mechanisms.gaussian import IndependentNoise
from server_strategy.privacy.plan import PrivacyPlan


def plan(**changes):
    values = dict(
        mechanism=IndependentNoise(),
        clip_norm=1.0,
        noise_multiplier=2.0,
        noise_stddev=2.0,
        delta=1e-6,
        rounds=9,
        goal=3,
        min_separation_rounds=3,
        max_participations=3,
        population=10,
        modelled_cohort=None,
    )
    return PrivacyPlan(**(values | changes))


def play(ledger, the_plan, rounds, phones=10):
    """Write rounds (lists of phones) as a strategy would; returns what was spent at the end."""
    log = ParticipationLog(phones)
    spent = None
    for release, present in enumerate(rounds, start=1):
        log.record(release, np.array(present))
        spent = privacy_spent(the_plan, log, release)
        ledger.record(release, np.array(present, np.uint64), spent)
    return spent


def test_labels_are_read_from_the_file_as_the_documentation_says(tmp_path, capsys):
    page = (Path(__file__).parents[3] / "docs/privacy.md").read_text()
    (code,) = re.findall(r"```python\n(.*?privacy_ledger.*?)```", page, re.DOTALL)
    labels = [0x00FF, 0x0123456789ABCDEF, 0xFEDCBA9876543210]
    the_plan = plan()
    with_labels = PrivacyLedger(the_plan, tmp_path / "privacy_ledger.jsonl")
    log = ParticipationLog(3)
    log.record(1, np.arange(3))
    with_labels.record(1, np.array(labels, np.uint64), privacy_spent(the_plan, log, 1))
    exec(code.replace("RUN_DIR", str(tmp_path)), {})
    assert capsys.readouterr().out.split() == ["round", "1", *(f"{label:016x}" for label in labels)]


ROUNDS = [[0, 1], [2, 3], [4], [0, 2], [5], [1], [0]]


def test_spent_is_by_the_busiest_phone(tmp_path):
    spent = play(PrivacyLedger(plan(), tmp_path / "l"), plan(), ROUNDS)
    assert (spent.releases, spent.max_participations, spent.min_separation_rounds) == (7, 3, 2)
    assert spent.zcdp_rho == gaussian_rho(2.0, 3)
    assert spent.epsilon >= epsilon_of_gaussian(spent.zcdp_rho, 1e-6) > 0


def test_without_privacy_nothing_is_claimed(tmp_path):
    none = plan(mechanism=None, noise_multiplier=None, noise_stddev=None, delta=None)
    spent = play(PrivacyLedger(none, tmp_path / "l"), none, ROUNDS)
    assert (spent.zcdp_rho, spent.epsilon, spent.delta) == (None,) * 3
    assert none.epsilon is None and none.zcdp_rho is None


@given(st.lists(st.lists(st.integers(0, 5), unique=True, min_size=1), min_size=1, max_size=12))
@settings(deadline=None, max_examples=40)
def test_recomputing_from_the_file_gives_the_same_cost(tmp_path_factory, rounds):
    path = tmp_path_factory.mktemp("ledger") / "l"
    spent = play(PrivacyLedger(plan(), path), plan(), rounds)
    again = recompute(path, len(rounds))
    assert again == json.loads(json.dumps(spent.__dict__))
    most = max(sum(p in r for r in rounds) for p in range(6))
    assert again["zcdp_rho"] == gaussian_rho(2.0, most)


@given(st.integers(1, 6), st.integers(1, 4), st.integers(0, 1000))
def test_the_participation_rule_keeps_the_plan(separation, most, seed):
    rng, log = np.random.default_rng(seed), ParticipationLog(8)
    history = {p: [] for p in range(8)}
    for release in range(1, 40):
        admitted = np.flatnonzero(log.may_participate(release, separation, most))
        present = admitted[rng.random(len(admitted)) < 0.5]
        log.record(release, present)
        for p in present:
            history[int(p)].append(release)
    gaps = [b - a for h in history.values() for a, b in zip(h[:-1], h[1:], strict=True)]
    assert all(len(h) <= most for h in history.values())
    assert all(g >= separation for g in gaps)
    assert log.min_separation == min(gaps, default=0)
    assert log.counts.tolist() == [len(h) for h in history.values()]


def test_a_resumed_run_repeats_its_releases_without_writing_them_again(tmp_path):
    path = tmp_path / "l"
    play(PrivacyLedger(plan(), path), plan(), ROUNDS)
    before = path.read_bytes()
    ledger = PrivacyLedger(plan(), path)
    assert ledger.releases == 7
    play(ledger, plan(), ROUNDS)
    assert path.read_bytes() == before


def test_a_repeated_release_with_other_phones_is_refused(tmp_path):
    path = tmp_path / "l"
    play(PrivacyLedger(plan(), path), plan(), ROUNDS)
    with pytest.raises(LedgerError, match=r":3: expected the release that this run repeats"):
        play(PrivacyLedger(plan(), path), plan(), [[0, 1], [2, 4]])


def test_a_missing_release_is_refused(tmp_path):
    ledger = PrivacyLedger(plan(), tmp_path / "l")
    log = ParticipationLog(3)
    log.record(2, np.array([0]))
    with pytest.raises(LedgerError, match="expected 1 releases on record, found 0"):
        ledger.record(2, np.array([0], np.uint64), privacy_spent(plan(), log, 2))


def test_a_torn_last_line_was_never_a_release(tmp_path):
    path = tmp_path / "l"
    play(PrivacyLedger(plan(), path), plan(), ROUNDS)
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    assert PrivacyLedger(plan(), path).releases == 6
    assert path.read_bytes() == whole[: whole[:-1].rfind(b"\n") + 1]


@pytest.mark.parametrize("line", [1, 3, 8])
def test_an_edited_line_is_refused_by_its_number(tmp_path, line):
    path = tmp_path / "l"
    play(PrivacyLedger(plan(), path), plan(), ROUNDS)
    lines = path.read_text().splitlines(keepends=True)
    lines[line - 1] = lines[line - 1].replace('"release"', '"Release"')
    path.write_text("".join(lines))
    with pytest.raises(LedgerError, match=f":{line}: "):
        PrivacyLedger(plan(), path)


@pytest.mark.parametrize("line", [2, 5])
def test_a_missing_line_is_refused_by_its_number(tmp_path, line):
    path = tmp_path / "l"
    play(PrivacyLedger(plan(), path), plan(), ROUNDS)
    lines = path.read_text().splitlines(keepends=True)
    del lines[line - 1]
    path.write_text("".join(lines))
    with pytest.raises(LedgerError, match=f":{line}: expected an unbroken chain"):
        PrivacyLedger(plan(), path)


def test_the_mechanism_on_record_is_kept_whatever_an_optimiser_finds_elsewhere(tmp_path):
    then = BufferedToeplitzNoise(9, (0.9, 0.9, 0.1), (0.2, 0.1, 0.1))
    first = plan(mechanism=then)
    spent = play(PrivacyLedger(first, tmp_path / "l"), first, ROUNDS)
    elsewhere = BufferedToeplitzNoise(9, (0.9, 0.8999, 0.1), (0.15, 0.15, 0.1))
    again = PrivacyLedger(plan(mechanism=elsewhere, noise_multiplier=2.0 + 1e-9), tmp_path / "l")
    assert again.plan == first
    assert recompute(tmp_path / "l", 7) == json.loads(json.dumps(spent.__dict__))
    for other in (replace(then, rounds=8), replace(then, output_scale=(0.2, 0.2)), IndependentNoise(), None):
        with pytest.raises(LedgerError, match="expected the plan of this run"):
            PrivacyLedger(plan(mechanism=other), tmp_path / "l")


@dataclass(frozen=True)
class Half(IndependentNoise):
    """Registered nowhere; says that it costs a share of what independent noise does."""

    share: float = 0.5
    name = "half"

    def sensitivity_squared(self, releases, min_separation, max_participations):
        return self.share * super().sensitivity_squared(releases, min_separation, max_participations)


def test_a_mechanism_that_nobody_registered_has_to_be_at_hand(tmp_path):
    mine = plan(mechanism=Half())
    spent = play(PrivacyLedger(mine, tmp_path / "l"), mine, ROUNDS)
    assert PrivacyLedger(mine, tmp_path / "l").plan == mine
    assert recompute(tmp_path / "l", 7, Half()) == json.loads(json.dumps(spent.__dict__))
    with pytest.raises(LedgerError, match=r"l:1: noise mechanism: expected one of gaussian, .*, found 'half'"):
        recompute(tmp_path / "l", 7)
    for other in (Half(0.25), Half(0.5 + 1e-9)):  # a parameter that no optimiser found is never another one
        with pytest.raises(LedgerError, match="expected the plan of this run"):
            PrivacyLedger(plan(mechanism=other), tmp_path / "l")
        with pytest.raises(LedgerError, match="expected 'half' with parameters"):
            recompute(tmp_path / "l", 7, other)


class Forgetful(IndependentNoise):
    """Says that a phone's first participations were free after all."""

    name = "forgetful"

    def parameters(self):
        return {}

    def sensitivity_squared(self, releases, min_separation, max_participations):
        return 1.0 if releases > 5 else float(max_participations)


def test_what_is_spent_stays_spent_whatever_a_mechanism_says(tmp_path):
    mine = plan(mechanism=Forgetful())
    with pytest.raises(LedgerError, match=r"expected rho >= 0\.25, as already spent, found 0\.125"):
        play(PrivacyLedger(mine, tmp_path / "l"), mine, ROUNDS)
    assert len((tmp_path / "l").read_text().splitlines()) == 6  # the plan, and the releases that were made


def test_a_phone_that_is_named_twice_is_refused(tmp_path):
    ledger, log = PrivacyLedger(plan(), tmp_path / "l"), ParticipationLog(3)
    log.record(1, np.array([0, 1]))
    with pytest.raises(LedgerError, match="expected every phone at most once in a release, found one twice"):
        ledger.record(1, np.array([0, 1, 1], np.uint64), privacy_spent(plan(), log, 1))


@pytest.mark.parametrize("spoilt", [{"parameters": {"rounds": 3}}, {"goal": None, "extra": 1}, {"adaptive": {"a": 1}}])
def test_a_first_line_that_is_no_plan_is_refused(tmp_path, spoilt):
    (tmp_path / "l").write_text(json.dumps(chained({"release": 0, "plan": plan().to_json() | spoilt}, "")) + "\n")
    with pytest.raises(
        LedgerError, match=r":1: expected (the plan of a run|its parameters on record), found "
    ) as error:
        recompute(tmp_path / "l", 0)
    assert not re.search(r"[_ ]got |object|argument|'", str(error.value))  # nothing that only Python's users know


SPOILT = [
    *({"noise_multiplier": bad} for bad in ("secret", None, 0, -1.0, True, float("inf"), [1], 10**400)),
    *({"delta": bad} for bad in ("secret", 0.0, 1.5, float("nan"), None)),
    *({"max_participations": "3"}, {"population": 1.5}, {"mechanism": 3}, {"mechanism": None}, {"parameters": "x"}),
    *({"adaptive": [1]}, {"adaptive": {"quantile": 0.5}}, {"policy": None}),
]


@pytest.mark.parametrize("spoilt", [None, "secret", 3, [1], {}, *(plan().to_json() | change for change in SPOILT)])
def test_a_plan_of_other_values_is_one_line(tmp_path, spoilt):
    path = tmp_path / "l"
    path.write_text(json.dumps(chained({"release": 0, "plan": spoilt}, "")) + "\n")
    with pytest.raises(LedgerError, match=r"l:1: expected (the plan of a run|a ledger line), found [a-zA-Z]") as error:
        recompute(path, 0)
    assert "secret" not in str(error.value)


def test_what_a_plan_may_leave_out_is_its_default(tmp_path):
    values = {name: value for name, value in plan().to_json().items() if name not in ("policy", "clip_scope")}
    (tmp_path / "l").write_text(json.dumps(chained({"release": 0, "plan": values}, "")) + "\n")
    assert recompute(tmp_path / "l", 0)["releases"] == 0


NOTHING = {"releases": 1, "max_participations": 1, "min_separation_rounds": None}
SPENT = NOTHING | dict.fromkeys(("zcdp_rho", "epsilon", "delta"))
RELEASE = {"release": 1, "round": 1, "reports": 1, "spent": SPENT, "epsilon_is_of": "this run"}


def test_parameters_that_give_no_cost_are_one_line(tmp_path):
    path = tmp_path / "l"
    first = chained({"release": 0, "plan": plan(mechanism=BufferedToeplitzNoise(9, (0.9,), (0.2,))).to_json()}, "")
    first["plan"]["parameters"]["output_scale"] = ["secret"]
    first = chained({"release": 0, "plan": first["plan"]}, "")
    entry = {**RELEASE, "participants": encode_labels(np.array([1], np.uint64))}
    path.write_text("".join(json.dumps(line) + "\n" for line in (first, chained(entry, first["hash"]))))
    with pytest.raises(LedgerError, match=r"l:1: expected .* found (others|parameters of another kind)$"):
        recompute(path, 1)


@pytest.mark.parametrize("line", [b"hello\n", b"{}\n", b"[]\n", b"\xff\n", b"null\n", b"[" * 99_999 + b"\n"])
def test_a_line_that_is_none_is_one_line(tmp_path, line):
    (tmp_path / "l").write_bytes(line)
    with pytest.raises(LedgerError, match=r"l:1: expected a ledger line, found "):
        recompute(tmp_path / "l", 0)


def test_participants_that_are_none_are_one_line(tmp_path):
    first = chained({"release": 0, "plan": plan().to_json()}, "")
    lines = (first, chained({**RELEASE, "participants": "secret"}, first["hash"]))
    (tmp_path / "l").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(LedgerError, match=r"l:2: expected the participants of a release, found a damaged list"):
        recompute(tmp_path / "l", 1)


def test_whoever_only_reads_leaves_a_half_written_line_where_it_is(tmp_path):
    path = tmp_path / "l"
    spent = play(PrivacyLedger(plan(), path), plan(), ROUNDS)
    assert half_written_line(path) is None
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"release": 8, "part')
    assert recompute(path, 7) == json.loads(json.dumps(spent.__dict__))
    assert half_written_line(path) == 9
    with pytest.raises(LedgerError, match="expected 8 releases on record, found 7"):
        recompute(path, 8)  # a claim that counts it is not confirmed
    with pytest.raises(LedgerError, match="expected the plan of this run"):
        PrivacyLedger(plan(goal=4), path)  # nor does a run that it is not of cut it off
    assert path.read_bytes() == whole + b'{"release": 8, "part'
    PrivacyLedger(plan(), path)
    assert path.read_bytes() == whole


@pytest.mark.parametrize(
    "change", [{"noise_multiplier": 2.001}, {"goal": 4}, {"clip_scope": "layer"}, {"epsilon_budget": 3.0}]
)
def test_any_other_difference_is_another_plan(tmp_path, change):
    play(PrivacyLedger(plan(), tmp_path / "l"), plan(), ROUNDS)
    with pytest.raises(LedgerError, match="expected the plan of this run"):
        PrivacyLedger(plan(**change), tmp_path / "l")


def test_another_plan_is_refused(tmp_path):
    play(PrivacyLedger(plan(), tmp_path / "l"), plan(), ROUNDS)
    with pytest.raises(LedgerError, match="expected the plan of this run"):
        PrivacyLedger(plan(noise_multiplier=3.0), tmp_path / "l")


def test_recompute_needs_enough_lines(tmp_path):
    with pytest.raises(LedgerError, match="found no such file"):
        recompute(tmp_path / "none", 1)
    play(PrivacyLedger(plan(), tmp_path / "l"), plan(), ROUNDS[:2])
    with pytest.raises(LedgerError, match="expected 3 releases"):
        recompute(tmp_path / "l", 3)


def test_who_took_part_is_told_by_the_ledger_alone(tmp_path):
    path, labels = tmp_path / "l", np.array([40, 30, 20, 10, 0, 50, 60, 70, 80, 90], np.uint64)
    own, log = plan(), ParticipationLog(len(labels))
    ledger = PrivacyLedger(own, path)
    for release, phones in enumerate(([0, 3], [5], [], [3, 9]), start=1):
        present = np.array(phones, np.int64)
        spent = privacy_after(own, log, release, present)
        ledger.record(release, labels[present], spent)
        log.record(release, present)
        again = PrivacyLedger(own, path)
        again.go_on_after(release)
        assert again.participation(labels).equals(log)
    ledger.go_on_after(3)
    assert not ledger.participation(labels).equals(log)
    nobody = ParticipationLog(len(labels))
    ledger.go_on_after(0)
    assert not nobody.equals(log) and ledger.participation(labels).equals(nobody)
    ledger.go_on_after(4)
    with pytest.raises(LedgerError, match=r"l:2: expected phones of this run, found another$"):
        ledger.participation(labels + np.uint64(1))
