"""A source of availability in one file: by object, by name and by entry point, up to rounds of a real run."""

import tomllib
from dataclasses import dataclass
from importlib.metadata import EntryPoint, EntryPoints
from typing import Annotated

import numpy as np
import pytest
from annotated_types import Gt, Le

from server_strategy.config import CohortConfig
from server_strategy.privacy.config import PrivacyConfig
from simulation.clock import DAY_S, HOUR_S
from simulation.flags import parse_simulate, to_toml
from simulation.parts import Parts
from simulation.run.preparation import prepare
from simulation.run.same_beginning import fingerprint
from simulation.studies.dry_run import prepare_dry_run, run_days
from simulation.world.availability.base import Availability, WorldFacts
from simulation.world.availability.door import AVAILABILITY
from simulation.world.config import FleetConfig
from simulation.world.devices import Devices
from simulation.world.fleet import Fleet
from simulation.world.fleet_cohorts import make_cohorts
from simulation.world.sessions import Sessions
from simulation.world.timeline import PhoneWork
from tests.server_strategy.test_dp_fedavg import PHONES, make, play
from typefleet import doors
from typefleet.doors import Kind, KindSettings
from typefleet.errors import ConfigError

# The source ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FullHoursSettings(KindSettings):
    """Settings of phones that are there at full hours."""

    minutes: Annotated[float, Gt(0), Le(60)] = 20.0
    """Everybody is there for this long from each full hour on."""


class FullHours(Availability):
    """Everybody is there at full hours."""

    def __init__(self, settings, facts):
        super().__init__(facts.num_phones)
        self.utc_offset_h = facts.drawn_utc_offset_h()
        self.eligible_share = np.full(facts.num_phones, settings.minutes / 60)
        self._seconds = settings.minutes * 60

    def day_starts(self, day):
        phone = np.repeat(np.arange(self.num_phones), 24)
        start_s = day * DAY_S + np.tile(np.arange(24) * HOUR_S, self.num_phones)
        return Sessions(phone, start_s, start_s + self._seconds)


KIND = Kind("full-hours", "everybody at full hours", make=FullHours, settings=FullHoursSettings)

# Three ways in ---------------------------------------------------------------------------------


@pytest.fixture
def registered(monkeypatch):
    """The source is known by its name while the test runs."""
    monkeypatch.setattr(AVAILABILITY, "_kinds", dict(AVAILABILITY._kinds))
    AVAILABILITY.register(KIND)


FLAGS = ("--fleet.availability", "full-hours", "--fleet.size", "1000", "--cohort.goal", "30")
FIRST_ROUNDS = range(1, 40)


def minutes_of_invitations(cohorts):
    """The minute of the hour of each invitation of some rounds."""
    admitted, found = np.ones(cohorts.fleet.num_phones, bool), []
    for r in FIRST_ROUNDS:
        cohorts.plan_round(r, admitted)
        found += [moment_s % HOUR_S / 60 for moment_s, phone in cohorts.invitations if len(phone)]
    return found


def test_by_name_a_real_runs_rounds_are_at_full_hours(registered):
    prepared = prepare(parse_simulate([*FLAGS, "--fleet.minutes", "5", "--data.vocabulary-phones", "50"]).run)
    assert prepared.fleet.origin == "everybody at full hours"
    minutes = minutes_of_invitations(prepared.open_world())
    assert len(minutes) == len(FIRST_ROUNDS) and max(minutes) < 5


def test_by_object_a_real_run_and_a_dry_run_have_the_same_phones_and_a_resume_asks_for_it_again():
    source = FullHours(FullHoursSettings(5), WorldFacts(1000, 0))
    config = parse_simulate([*FLAGS[2:], "--data.vocabulary-phones", "50", "--privacy.mechanism", "none"]).run
    prepared = prepare(config, parts=Parts(availability=source))
    assert prepared.fleet.availability is source and prepared.fleet.origin == "FullHours"
    assert max(minutes_of_invitations(prepared.open_world())) < 5
    assert fingerprint(prepared)["parts"] == {"availability": f"{__name__}.FullHours"}
    run, cohorts = prepare_dry_run(config, Parts(availability=source))
    run_days(config, run, cohorts, 0.3)
    assert run.releases > 6 and set(run.by_utc_hour.eligible[:6]) == {0.0}  # looked at in the middle of each hour


def test_by_object_with_devices_of_ones_own_up_to_the_weights():
    devices = Devices(np.full(PHONES, 0.01), np.full(PHONES, 1e6), np.full(PHONES, 1e6), np.full(PHONES, 4.0))
    parts = dict(availability=FullHours(FullHoursSettings(60), WorldFacts(PHONES, 0)), devices=devices)
    fleet = Fleet(FleetConfig(failure_share=0.0, upload_failure_share=0.0), PHONES, 0, np.arange(PHONES), **parts)
    cohort = CohortConfig(goal=8, min_separation_rounds=2)
    cohorts = make_cohorts(fleet, cohort, PhoneWork(1000, lambda phones, _: np.full(len(phones), 10)))
    strategy, grid = make(goal=8, cohort=cohort, cohorts=cohorts, privacy=PrivacyConfig("none", clip_norm=0.5))
    arrays = play(strategy, grid, 3)
    assert strategy.releases == 3 and (strategy.participation.counts <= 2).all()
    assert any(array.numpy().any() for array in arrays.values())
    # 10 tokens at 0.01 s, and twice a kilobyte at 1 MB/s: all end at once.
    assert strategy.last_round.plan.funnel.closed_s - strategy.last_round.plan.funnel.opened_s == pytest.approx(0.102)


def test_parts_for_another_fleet_are_refused():
    source = FullHours(FullHoursSettings(5), WorldFacts(7, 0))
    with pytest.raises(ConfigError, match="availability: expected those of the fleet's 9 phones, found 7 phones"):
        Fleet(FleetConfig(), 9, 0, np.arange(9), availability=source)
    with pytest.raises(ConfigError, match="devices: expected those of the fleet's 9 phones, found 8 phones"):
        Fleet(FleetConfig(), 9, 0, np.arange(9), devices=Devices(*np.ones((4, 8))))


def test_the_description_of_devices_is_exact():
    devices = Devices(*np.ones((4, 5000)))
    changed = devices._replace(memory_gb=np.where(np.arange(5000) == 2500, np.nextafter(1, 2), 1.0))
    said, said_again, other = (Parts(devices=d).described() for d in (devices, Devices(*np.ones((4, 5000))), changed))
    assert said == said_again != other


def test_its_settings_are_flags_and_keys_with_it_alone(registered, tmp_path):
    config = parse_simulate([*FLAGS, "--fleet.minutes", "7"]).run
    text = to_toml(config)
    fleet = tomllib.loads(text)["fleet"]
    assert fleet["minutes"] == 7 and "night_day_ratio" not in fleet and "unobserved" not in fleet
    (tmp_path / "run.toml").write_text(text)
    assert parse_simulate(["--config", str(tmp_path / "run.toml")]).run == config
    for flags, message in (
        (["--fleet.minutes", "7"], r"--fleet\.minutes: expected only with --fleet\.availability full-hours"),
        ([*FLAGS, "--fleet.night-day-ratio", "2"], r"ratio: expected only with --fleet\.availability model"),
        ([*FLAGS, "--fleet.minutes", "61"], r"--fleet\.minutes: expected a number > 0 and <= 60, found 61"),
    ):
        with pytest.raises(ConfigError, match=message):
            parse_simulate(flags)


def test_by_entry_point_help_lists_its_settings(monkeypatch, capsys):
    points = EntryPoints([EntryPoint("full-hours", f"{__name__}:KIND", AVAILABILITY.group)])
    monkeypatch.setattr(doors, "_all_entry_points", lambda: points)
    monkeypatch.setattr(AVAILABILITY, "_kinds", dict(AVAILABILITY._kinds))
    assert AVAILABILITY.kind("full-hours") is KIND
    with pytest.raises(SystemExit):
        parse_simulate([*FLAGS, "--help-all"])
    said = capsys.readouterr().out
    assert "--fleet.minutes" in said and "--fleet.night-day-ratio" not in said


class Absent(FullHours):
    def day_starts(self, day):
        return super().day_starts(day) if day < self.absent_from else {}["what somebody wrote"]


@pytest.mark.parametrize(("absent_from", "asked"), [(0, "of day 0"), (5, "around day 4")])
def test_a_source_that_raises_is_named_with_the_place_and_without_what_it_said(absent_from, asked):
    source = Absent(FullHoursSettings(5), WorldFacts(9, 0))
    source.absent_from = absent_from
    message = rf"^availability Absent: expected the sessions {asked}, found KeyError at test_availability_door\.py:\d+$"
    with pytest.raises(ConfigError, match=message):  # of the first day before anything else
        Fleet(FleetConfig(), 9, 0, np.arange(9), availability=source).check_ins(4 * DAY_S)
