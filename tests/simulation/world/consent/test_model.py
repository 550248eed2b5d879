"""The model of consent keeps to its shares, regions, rate and wave, and depends on phone and purpose alone."""

import numpy as np
import pytest

from simulation.clock import DAY_S
from simulation.config import RunConfig, check
from simulation.settings import choose, with_values
from simulation.world.consent.config import PURPOSES, ConsentConfig, check_consent
from simulation.world.consent.model import modelled_consents
from simulation.world.consent.source import consent_source
from simulation.world.consent.times import WITHDRAWN
from typefleet.errors import ConfigError

PHONES = 40_000
ZONES = np.where(np.arange(PHONES) % 4 == 0, 1.0, -8.0)
EVERYBODY = np.arange(PHONES)
FIVE_SIGMA = 5 * 0.5 / np.sqrt(PHONES / 4)  # of a share of a quarter of them


def share(consents, purpose, day, phones=EVERYBODY):
    return consents.holds(purpose, phones, day * DAY_S).mean()


def test_each_purpose_has_its_share_and_each_region_its_factor():
    config = ConsentConfig(train_share=0.6, telemetry_share=0.3, regions_h=(1.0,), region_factors=(0.5,))
    found = modelled_consents(config, 3, ZONES)
    for purpose, here, elsewhere in (("train", 0.3, 0.6), ("evaluate", 0.5, 1.0), ("telemetry", 0.15, 0.3)):
        assert share(found, purpose, 0, EVERYBODY[ZONES == 1]) == pytest.approx(here, abs=FIVE_SIGMA)
        assert share(found, purpose, 0, EVERYBODY[ZONES == -8]) == pytest.approx(elsewhere, abs=FIVE_SIGMA)
        assert share(found, purpose, 999) == share(found, purpose, 0)  # nobody takes it back
    trains, tells = (found.holds(one, EVERYBODY, 0.0) for one in ("train", "telemetry"))
    assert (trains & tells).mean() == pytest.approx(trains.mean() * tells.mean(), abs=0.05)  # drawn by purpose


def test_the_rate_is_that_of_a_day_and_of_every_day_after():
    found = modelled_consents(ConsentConfig(withdrawn_a_day=0.1), 3, ZONES)
    for day in (1, 2, 10):
        assert share(found, "train", day) == pytest.approx(0.9**day, abs=FIVE_SIGMA)
    assert share(found, "train", 0) == 1


def test_a_wave_begins_with_its_event_and_is_of_its_share():
    config = ConsentConfig(wave_day=3.0, wave_share=0.4, wave_mean_days=2.0)
    found = modelled_consents(config, 3, ZONES)
    assert share(found, "train", 3) == 1
    assert share(found, "train", 5) == pytest.approx(1 - 0.4 * (1 - np.exp(-1)), abs=FIVE_SIGMA)
    assert share(found, "train", 60) == pytest.approx(0.6, abs=FIVE_SIGMA)


@pytest.mark.parametrize(("withdraws", "left"), [("everything", PURPOSES), ("training", ("train",))])
def test_what_is_taken_back_is_taken_back_at_one_moment(withdraws, left):
    found = modelled_consents(ConsentConfig(withdrawn_a_day=0.5, withdraws=withdraws), 3, ZONES)
    ends = {purpose: found.until_s(purpose, EVERYBODY, 0.0) for purpose in PURPOSES}
    for purpose in PURPOSES:
        assert np.array_equal(ends[purpose], ends["train"]) == (purpose in left)
        assert np.isinf(ends[purpose]).all() == (purpose not in left)


def test_a_phone_is_drawn_for_itself_whatever_the_fleet():
    config = ConsentConfig(train_share=0.5, withdrawn_a_day=0.2, wave_day=1.0)
    few, all_of_them = (modelled_consents(config, 3, ZONES[:n]) for n in (100, PHONES))
    np.testing.assert_array_equal(
        few.until_s("train", EVERYBODY[:100], 0.0), all_of_them.until_s("train", EVERYBODY[:100], 0.0)
    )
    other = modelled_consents(config, 4, ZONES)
    assert (other.until_s("train", EVERYBODY, 0.0) != all_of_them.until_s("train", EVERYBODY, 0.0)).any()
    at_five = all_of_them.times["train"].state(EVERYBODY, 5 * DAY_S)
    assert 0.2 < (at_five == WITHDRAWN).mean() < 0.5


def test_by_default_nobody_is_asked():
    assert consent_source(ConsentConfig(), 0, lambda: pytest.fail("no label is needed"))(ZONES) is None
    changed = ({"train_share": 0.9}, {"evaluate_share": 0.9}, {"withdrawn_a_day": 0.1}, {"wave_day": 0.0})
    for values in changed:
        assert consent_source(ConsentConfig(**values), 0, lambda: None)(ZONES) is not None


def test_settings_that_contradict_are_refused_by_their_flag():
    for values, said in (
        ({"regions_h": (1.0, 1.0), "region_factors": (1.0, 1.0)}, "--consent.regions-h: expected each time zone once"),
        ({"regions_h": (1.0,)}, "--consent.region-factors: expected 1 numbers >= 0"),
        ({"regions_h": (1.0,), "region_factors": (-1.0,)}, "--consent.region-factors: expected 1 numbers >= 0"),
    ):
        with pytest.raises(ConfigError, match=f"^{said}"):
            check_consent(ConsentConfig(**values))
    for name, value in (("wave_share", 0.5), ("withdraws", "training")):
        config = with_values(choose(RunConfig(), {}), {("consent", name): value})
        with pytest.raises(ConfigError, match=rf"^--consent.{name.replace('_', '-')}: expected only with --consent"):
            check(config)
