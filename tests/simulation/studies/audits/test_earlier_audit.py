"""A whole audit can be made of several."""

from dataclasses import replace

import pytest

from server_strategy.privacy.statement_audit import ReleaseAudit
from simulation.studies.audits.audit import Audit, with_earlier
from tests.simulation.studies.audits.test_attack import attack

CANARIES = replace(attack(), name="canaries: all releases")
WORDS = replace(attack(), name="words of anybody: sum of 64")
DRIFT = replace(attack(), name="drift: rounds out of their band")
EARLIER = Audit(3, False, "a" * 64, (WORDS, DRIFT), settings_sha256="b" * 64)


def names(audit):
    return [one.name for one in audit.attacks]


def test_what_other_attacks_found_stays_in_the_order_of_the_table_and_what_is_attacked_anew_does_not():
    now = replace(EARLIER, attacks=(replace(WORDS, name="words: update"), CANARIES))
    assert names(with_earlier(now, EARLIER)) == [CANARIES.name, "words: update", DRIFT.name]
    assert names(with_earlier(now, None)) == ["words: update", CANARIES.name]


def test_a_release_that_it_allowed_does_not_stay():
    released = replace(
        EARLIER, release=ReleaseAudit(rule_sha256="c" * 64, audit_sha256="d" * 64, quick=False, within=())
    )
    assert with_earlier(replace(EARLIER, attacks=(CANARIES,)), released).release is None


@pytest.mark.parametrize(
    "other", [{"seed": 4}, {"quick": True}, {"weights_sha256": "c" * 64}, {"settings_sha256": None}], ids=str
)
def test_nothing_is_taken_from_an_audit_of_another_kind(other):
    now = replace(EARLIER, attacks=(CANARIES,))
    assert with_earlier(now, replace(EARLIER, **other)) == now
