"""A release is refused for what is above its limit, or was not measured."""

from types import SimpleNamespace

import pytest

from client_model.tflite.export_folder import VerificationError
from simulation.run.directory import RunDirectory
from simulation.studies.audits.audit import Audit, write_audit
from simulation.studies.audits.gate import fallen_of, read_rule, require
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

    def written(*attacks, weights="ab"):
        write_audit(tmp_path / "run", Audit(0, True, weights, attacks))
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
    with pytest.raises(VerificationError, match=r"within its bounds, found some: figure: 1.5 is above 1.2"):
        require(audited(attack()), strict)
    require(audited(attack(high=1.1)), strict)
    require(audited(attack()), rule(f'[at_most]\n"{NAME}" = "bound"\n'))
    with pytest.raises(ConfigError, match=r"audit.json: expected each figure of an audit once"):
        require(audited(attack(), attack(high=1.1)), strict)


@pytest.mark.parametrize(
    "text",
    ["", "[at_most]\n", "[other]\na = 1\n", "at_most = 3\n", "[at_most]\na = true\n", "[at_most]\na = -1\n"]
    + ['[at_most]\na = "claim"\n', "[at_most]\na = 1\n[more]\n", "[at_most]\na = nan\n", "[at_most"]
    + ["[at_most]\na = inf\n", f"[at_most]\na = 1{'0' * 400}\n"],
)
def test_what_is_no_rule_is_refused(rule, text):
    with pytest.raises(ConfigError, match=r"audit.toml"):
        read_rule(rule(text))
