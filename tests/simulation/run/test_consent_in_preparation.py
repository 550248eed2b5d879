"""What is settled before the first round, and done outside of them, asks the owners too."""

from dataclasses import replace

import numpy as np
import pytest

from simulation.flags import parse_simulate
from simulation.run.preparation import prepare
from simulation.studies.personalisation import OpenedRun, play
from typefleet.errors import ConfigError

SMALL = (
    *("--data.format", "synthetic", "--fleet.size", "80", "--cohort.goal", "4", "--data.vocabulary-phones", "80"),
    *("--model.vocabulary-size", "200", "--model.embedding-size", "8", "--model.units", "8"),
    *("--evaluation.max-phones", "40", "--data.held-out-share", "0.3", "--privacy.noise-source", "seeded"),
)


def prepared(*flags):
    return prepare(parse_simulate([*SMALL, *flags]).run)


def test_who_does_not_agree_is_neither_counted_nor_scored_nor_personalised():
    shares = ("--consent.train-share", "0.6", "--consent.evaluate-share", "0.5", "--consent.personalise-share", "0.4")
    run = prepared(*shares, "--consent.withdrawn-a-day", "0.9")
    fleet, everybody = run.fleet, np.arange(80)
    trains = set(np.flatnonzero(fleet.consents.holds("train", everybody, 0.0)).tolist())
    assert set(run.training_phones.tolist()) == trains - set(run.held_out_phones.tolist())
    assert run.baselines().training_phones == len(run.training_phones)  # all of them agree from the start
    measured = fleet.agreeing("evaluate", run.held_out_phones, 0.0)
    assert 0 < len(measured) < len(run.held_out_phones)
    np.testing.assert_array_equal(run.people_to_score, measured)
    later_s = 86_400.0
    assert len(replace(run, asked_at_s=later_s).people_to_score) < len(measured)
    phones = fleet.agreeing("personalise", run.held_out_phones, later_s)
    assert len(phones) < len(fleet.agreeing("personalise", run.held_out_phones, 0.0)) < len(run.held_out_phones)
    opened = OpenedRun(run, None, phones[:0])
    assert opened.without_consent == len(run.held_out_phones) and list(play(opened, None, 99, 99)) == []


def test_where_nobody_may_be_asked_the_run_is_refused_before_it_begins():
    for flags, message in (
        (("--consent.train-share", "0"), "--consent: expected somebody who agrees to training, found nobody who ever"),
        (("--consent.evaluate-share", "0"), "--consent: expected somebody held out who agrees to being measured"),
    ):
        with pytest.raises(ConfigError, match=f"^{message}"):
            prepared(*flags)
    without = prepared("--consent.evaluate-share", "0", "--engine.no-export")
    assert not len(without.people_to_score) and without.baselines().trigram_top1 is None


def test_by_default_everybody_is_everything():
    run = prepared()
    assert run.fleet.consents is None and OpenedRun(run, None, run.held_out_phones).without_consent is None
    assert run.people_to_score is run.held_out_phones
