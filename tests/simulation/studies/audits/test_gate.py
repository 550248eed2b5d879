"""A release is refused for what is above its limit, or was not measured."""

import hashlib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client_model.tflite.export_folder import VerificationError
from server_strategy.privacy.statement_audit import ReleaseAudit, Within, audit_markdown
from simulation.run.directory import RunDirectory
from simulation.studies.audits.attack import BY_ITSELF
from simulation.studies.audits.audit import Audit, read_audit, write_audit
from simulation.studies.audits.gate import fallen_of, read_rule, require, within_of
from tests.simulation.studies.audits.test_attack import attack
from typefleet.errors import ConfigError

NAME = "some: figure"


@pytest.fixture
def rule(tmp_path):
    def written(text):
        (tmp_path / "audit.toml").write_text(text)
        return tmp_path / "audit.toml"

    return written


@pytest.fixture
def audited(tmp_path, monkeypatch):
    """A folder whose summary says that its weights are `ab`."""
    monkeypatch.setattr(RunDirectory, "read_summary", lambda self: SimpleNamespace(weights_sha256="ab"))

    def written(*attacks, weights="ab", quick=False):
        write_audit(tmp_path / "run", Audit(0, quick, weights, attacks))
        return tmp_path / "run"

    return written


@pytest.mark.parametrize(
    ("limit", "found", "said"),
    [
        ("bound", attack(), None),
        ("bound", attack(low=2.1), "some: figure: 2.1 is above 2, its bound in the audit"),
        ("bound", attack(bound=None), "some: figure: measured, and held to no bound"),
        ("bound", attack(value=None, low=None, high=None), "some: figure: not measured"),
        (1.5, attack(), None),
        (1.4, attack(), "some: figure: 1.5 is above 1.4"),  # its high end
        (1.0, attack(high=None), None),
        (0.9, attack(high=None), "some: figure: 1 is above 0.9"),
    ],
)
def test_what_falls_is_said(limit, found, said):
    assert list(fallen_of({NAME: limit}, {NAME: found})) == ([] if said is None else [said])
    assert list(fallen_of({"another": limit}, {NAME: found})) == ["another: not measured"]


def test_a_release_needs_an_audit_of_its_own_weights_within_the_rule(audited, rule, tmp_path):
    strict = rule(f'[at_most]\n"{NAME}" = 1.2\n')
    with pytest.raises(ConfigError, match=r"expected an audit, for audit.toml, found none; .*audit.py"):
        require(tmp_path, strict)
    with pytest.raises(VerificationError, match=r"audit of the run's weights, found one of others"):
        require(audited(attack(), weights="cd"), strict)
    with pytest.raises(VerificationError, match=r"within its bounds, found some: figure: 1.5 is above 1.2$"):
        require(audited(attack()), strict)
    require(audited(attack(high=1.1)), strict)
    require(audited(attack()), rule(f'[at_most]\n"{NAME}" = "bound"\n'))
    with pytest.raises(ConfigError, match=r"audit.json: expected each figure of an audit once"):
        require(audited(attack(), attack(high=1.1)), strict)


@pytest.mark.parametrize(
    "text",
    ["", "quick = true\n", 'quick = "yes"\n[at_most]\na = 1\n', "quick = 1\n[at_most]\na = 1\n"]
    + ["[at_most]\n", "[other]\na = 1\n", "at_most = 3\n", "[at_most]\na = true\n", "[at_most]\na = -1\n"]
    + ['[at_most]\na = "claim"\n', "[at_most]\na = 1\n[more]\n", "[at_most]\na = nan\n", "[at_most"]
    + ["[at_most]\na = inf\n", f"[at_most]\na = 1{'0' * 400}\n"],
)
def test_what_is_no_rule_is_refused(rule, text):
    with pytest.raises(ConfigError, match=r"audit.toml"):
        read_rule(rule(text))


def test_a_rule_is_read_once_so_that_its_digest_is_of_what_was_applied(rule, monkeypatch):
    path, opened, original = rule(f'[at_most]\n"{NAME}" = 1\n'), [], Path.open
    monkeypatch.setattr(Path, "open", lambda self, *how: opened.append(self) or original(self, *how))
    digest = read_rule(path).sha256
    monkeypatch.undo()
    assert opened == [path] and digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_quick_audit_is_enough_only_where_the_rule_says_so(audited, rule):
    quick, limit = audited(attack(high=1.1), quick=True), f'[at_most]\n"{NAME}" = 1.2\n'
    for text in (limit, f"quick = false\n{limit}"):
        with pytest.raises(VerificationError, match=r"expected an audit without --quick, since audit\.toml"):
            require(quick, rule(text))
    assert require(quick, rule(f"quick = true\n{limit}")).release.quick
    assert not require(audited(attack(high=1.1)), rule(f"quick = true\n{limit}")).release.quick


def test_what_was_passed_is_kept_with_the_audit(audited, rule):
    allowed = rule(f'[at_most]\n"{NAME}" = "bound"\n"some: *" = 1.5\n')
    folder = audited(attack())
    audit = require(folder, allowed)
    assert audit.release.rule_sha256 == hashlib.sha256(allowed.read_bytes()).hexdigest()
    assert audit.release.within == (Within(NAME, 2.0, True), Within(NAME, 1.5, False))
    write_audit(folder, audit)
    assert (
        read_audit(folder) == audit
        and audit.release.audit_sha256 == audit.sha256 == replace(audit, release=None).sha256
    )
    assert require(folder, allowed) == audit, "held to it again, the same comes of it"
    assert Audit(1, False, "ab", (attack(),)).sha256 != audit.sha256


def named(name, **more):
    return replace(attack(**more), name=name)


FIGURES = (
    named("canaries: a"),
    named("canaries: b", bound=None, high=50.0),
    named("words: a [x]", low=2.1),
    named("membership: auc", value=None, low=None, high=None),
)


@pytest.mark.parametrize(
    ("limits", "fallen"),
    [
        ({"canaries: *": "bound"}, []),  # passes over what is held to no bound
        ({"canaries: *": 1.5}, ["canaries: b"]),
        ({"canaries: *": 50}, []),
        ({"*: a": "bound"}, []),
        ({"words: a [x*": "bound"}, ["words: a [x]"]),  # nothing but * has a meaning
        ({"words: ? [x]": 9}, ["words: ? [x]"]),
        ({"*": "bound"}, ["words: a [x]", "membership: auc"]),  # what should have been measured was not
        ({"*: b": "bound"}, ["*: b"]),  # none of them has one
        ({"poison: *": 1}, ["poison: *"]),
        ({"canaries: *": "bound", "membership: *": 1}, ["membership: auc"]),
    ],
)
def test_a_name_with_a_star_stands_for_all_that_fit(limits, fallen):
    found = {one.name: one for one in FIGURES}
    said = list(fallen_of(limits, found))
    assert len(said) == len(fallen) and all(one.startswith(f"{name}: ") for one, name in zip(said, fallen, strict=True))


def test_a_name_with_a_bar_stays_in_its_cell():
    within = (Within("some | figure \\", 2.0, True),)
    (row,) = (line for line in audit_markdown(ReleaseAudit("a", "b", False, within)) if "figure \\" in line)
    assert row == r"| some \| figure \\ | 2 | " + row.rpartition("| 2 | ")[2] and row.count(" | ") == 2


finite = st.floats(0, 1e3)


@given(st.lists(st.tuples(finite, finite, finite, finite), min_size=1, max_size=5), finite)
def test_nothing_that_fell_is_called_within_and_the_other_way_round(drawn, limit):
    figures = [(*sorted(three), bound) for *three, bound in drawn]
    found = {
        f"a: {number}": named(f"a: {number}", value=value, low=low, high=high, bound=bound)
        for number, (low, value, high, bound) in enumerate(figures)
    }
    for rule_limit in ("bound", limit):
        fell = [one.split(": ")[1] for one in fallen_of({"a: *": rule_limit}, found)]
        harmed = [
            str(number)
            for number, (low, _, high, bound) in enumerate(figures)
            if (low > bound if rule_limit == "bound" else high > limit)
        ]
        assert fell == harmed
        if not fell:
            assert [one.figure for one in within_of({"a: *": rule_limit}, found)] == list(found)


def test_the_rule_that_ships_can_be_read_and_refuses_an_audit_that_lacks_what_it_names(audited):
    shipped = Path(__file__).parents[4] / "configs" / "rules" / "release.toml"
    rule = read_rule(shipped)
    assert not rule.quick and "bound" in rule.limits.values()
    names = ["memorisation: noise of a deployment", "fairness: recall, best to worst of a", "drift: rounds out of band"]
    names += ["membership: noise of a deployment (AUC)", "poison: adaptive"]
    names += ["canaries: all releases", "fairness: keystrokes saved, best to worst of a"]
    calm = [named(name, value=0.0, low=0.0, high=0.0) for name in names]
    assert len(require(audited(*calm), shipped).release.within) == 13  # six are held to a number beside their bound
    for lacking in calm[:5]:
        with pytest.raises(VerificationError, match=r"not measured.*; .*audit.py.* measures all that there is$"):
            require(audited(*(one for one in calm if one is not lacking)), shipped)


@pytest.mark.parametrize(
    ("by_itself", "claim", "fallen"),
    [
        ([{"value": 8273.0, "low": 8243.0, "high": 8302.0, "bound": None}], 6.3, "8302 is above 10"),
        ([{"value": None, "low": None, "high": None, "bound": None}], 6.3, "not measured"),
        ([], 6.3, None),  # the claim is the run's own
        ([], 4224.0, "4224, which the run itself claims, is above 10"),
        ([], None, "not measured"),  # nothing is claimed
    ],
)
def test_a_limit_on_the_run_by_itself_stops_files_whose_claim_is_of_a_deployment(by_itself, claim, fallen):
    name = f"canaries: {BY_ITSELF}"
    found = [named("canaries: all releases", bound=claim), *(named(name, **one) for one in by_itself)]
    said = list(fallen_of({name: 10.0}, {one.name: one for one in found}))
    assert said == ([] if fallen is None else [f"{name}: {fallen}"])
    assert list(fallen_of({name: 10.0}, {})) == [f"{name}: not measured"], "canaries were not played"


@pytest.mark.parametrize("name", ["some: figure\n", "some: figure\n\n# Another heading", "some: \ud800", ""])
def test_no_name_of_a_figure_escapes_a_pattern_or_its_line(audited, rule, name):
    with pytest.raises(ConfigError, match=r"audit.json: expected a name of one line"):
        require(audited(attack(), replace(attack(low=2.1), name=name)), rule('[at_most]\n"*" = "bound"\n'))
    assert list(fallen_of({"*": "bound"}, {name: replace(attack(low=2.1), name=name)})) != []


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("*", "", True),
        ("a*", "a", True),
        ("*a", "a", True),
        ("a*a", "a", False),
        ("a*a", "aa", True),
        ("a*b*c", "a b b c", True),
        ("a*b*c", "a c", False),
        ("a*bc*bc", "abc", False),
        ("a**b", "ab", True),
        ("a.b", "axb", False),
        ("a", "aa", False),
        ("*a" * 40 + "b", "a" * 80, False),  # as a regular expression it would not end
    ],
)
def test_a_star_stands_for_anything(pattern, name, fits):
    found = {name: replace(attack(value=9.0), name=name)}
    assert bool([*within_of({pattern: 10.0}, found)]) is fits


def test_a_figure_above_its_own_interval_is_held_as_it_is():
    assert list(fallen_of({NAME: 1.0}, {NAME: attack(value=5.0, high=0.1)})) == ["some: figure: 5 is above 1"]
