"""A round policy in one file: by object, by name and by entry point, up to the weights and the statement."""

import tomllib
from dataclasses import dataclass
from importlib.metadata import EntryPoint, EntryPoints
from typing import Annotated

import numpy as np
import pytest
from annotated_types import Ge

from server_strategy.cohorts import RoundPlan
from server_strategy.config import CohortConfig
from server_strategy.funnel import Funnel
from server_strategy.policies import POLICIES
from server_strategy.privacy.config import PrivacyConfig
from simulation.clock import simulated_date
from simulation.flags import parse_simulate, to_toml
from simulation.run.preparation import prepare
from simulation.studies.dry_run import prepare_dry_run, run_days
from simulation.world.attempts import DONE, FAILED, INELIGIBLE, UPLOAD_FAILED
from simulation.world.availability.base import WorldFacts
from simulation.world.availability.model import AvailabilityModel, Habits
from simulation.world.config import FleetConfig
from simulation.world.fleet import Fleet
from simulation.world.fleet_cohorts import FleetCohorts
from simulation.world.policies.base import RoundPolicy
from simulation.world.timeline import PhoneWork, Timeline
from tests.server_strategy.test_dp_fedavg import PHONES, SIZE, flat, make, play, update_of
from typefleet import doors
from typefleet.doors import Kind, KindSettings
from typefleet.errors import ConfigError

# The policy ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class WavesSettings(KindSettings):
    """Settings of rounds in waves."""

    waves: Annotated[int, Ge(1)] = 2
    """Times that phones are invited in a round."""
    wave_s: float = 400.0
    """Seconds from one wave to the next."""


@dataclass(frozen=True, kw_only=True)
class WavesFunnel(Funnel):
    invited_last: int


class Waves(RoundPolicy):
    """Half of the goal is invited in each wave; an update of wave k counts 1 / k."""

    weighting = "weighted by one over the number of their wave"

    def __init__(self, settings, timeline):
        super().__init__(timeline)
        self.settings = settings

    @property
    def most_reports(self):
        return self.settings.waves * self.timeline.cohort.goal

    def plan_round(self, server_round, may_participate):
        timeline, opened_s, admitted = self.timeline, self.timeline.now_s, may_participate.copy()
        waves, checked_in = [], 0
        for wave in range(self.settings.waves):
            there = timeline.check_ins(admitted)
            checked_in = max(checked_in, len(there.phone))
            waves.append(timeline.invite(there, -(-timeline.cohort.goal // 2), server_round, wave))
            admitted[waves[-1].phone] = False
            timeline.now_s += self.settings.wave_s
        done = [attempts.pick((attempts.outcome == DONE) & (attempts.end_s <= timeline.now_s)) for attempts in waves]
        reporters = np.concatenate([attempts.phone for attempts in done])
        counted = {
            name: sum(attempts.count(outcome) for attempts in waves)
            for name, outcome in (
                *(("dropped_failure", FAILED), ("dropped_ineligible", INELIGIBLE)),
                *(("dropped_upload", UPLOAD_FAILED), ("late", DONE)),
            )
        }
        counted["late"] -= len(reporters)
        return RoundPlan(
            reporters=reporters,
            tokens=np.concatenate([attempts.tokens for attempts in done]),
            abandoned=None if len(reporters) else "nobody was there",
            funnel=WavesFunnel(
                **counted,
                invited=sum(len(attempts.phone) for attempts in waves),
                invited_last=len(waves[-1].phone),
                reported=len(reporters),
                unused=0,
                checked_in=checked_in,
                selection_s=0.0,
                opened_s=opened_s,
                closed_s=timeline.now_s,
                simulated_date=simulated_date(timeline.fleet.config.start_date, timeline.now_s),
            ),
            update_weight=np.repeat(1.0 / np.arange(1, len(done) + 1), [len(attempts.phone) for attempts in done]),
        )


KIND = Kind("waves", "phones are invited in waves", make=Waves, settings=WavesSettings)

# Three ways in ---------------------------------------------------------------------------------


@pytest.fixture
def registered(monkeypatch):
    """The policy is known by its name while the test runs."""
    monkeypatch.setattr(POLICIES, "_kinds", dict(POLICIES._kinds))
    POLICIES.register(KIND)


FLAGS = ("--cohort.policy", "waves", "--cohort.waves", "3", "--cohort.goal", "30", "--fleet.size", "2000")


def test_by_object_it_reaches_the_weights():
    world = FleetConfig(memory_floor_gb=0.0, train_s_per_token_median=1e-4, failure_share=0.0)
    everybody_is_there = AvailabilityModel(
        Habits(eligible_share_alpha=1e4, eligible_share_beta=0.01), WorldFacts(PHONES, 0)
    )
    fleet = Fleet(world, PHONES, 0, np.arange(PHONES), availability=everybody_is_there)
    cohort = CohortConfig(goal=8, min_separation_rounds=2, minimum_report_share=0.25)
    timeline = Timeline(fleet, cohort, PhoneWork(1000, lambda phones, _: np.full(len(phones), 10)))
    cohorts = FleetCohorts(timeline, Waves(WavesSettings(), timeline))
    strategy, grid = make(goal=8, cohort=cohort, cohorts=cohorts, privacy=PrivacyConfig("none", clip_norm=0.5))
    arrays = play(strategy, grid, 1)
    plan = strategy.last_round.plan
    assert set(plan.update_weight) == {1.0, 0.5} and plan.funnel.invited == 8
    expected = np.zeros(SIZE)
    for phone, weight in zip(plan.reporters, plan.update_weight, strict=True):
        update = update_of(phone, 1).astype(np.float64)
        expected += weight * update * min(1, 0.5 / np.linalg.norm(update))
    np.testing.assert_allclose(flat(arrays), expected / 8, atol=1e-6)


def test_by_name_it_plays_days_and_its_funnel_is_on_record(registered):
    config = parse_simulate([*FLAGS, "--privacy.mechanism", "none"]).run
    assert config.cohort.policy_settings == WavesSettings(waves=3)
    run, cohorts = prepare_dry_run(config)
    run_days(config, run, cohorts, 0.3)
    assert run.releases > 10 and run.log.min_separation >= config.cohort.min_separation_rounds
    for record in (played.as_line() for played in run.rounds):
        ended = sum(record[name] for name in ("dropped_failure", "dropped_ineligible", "dropped_upload", "late"))
        assert record["invited"] == record["reported"] + ended and record["invited_last"] <= 15


def test_a_real_run_is_prepared_with_it_and_a_checkpoint_goes_on(registered):
    config = parse_simulate([*FLAGS, "--data.vocabulary-phones", "50"]).run
    prepared = prepare(config)
    cohorts = prepared.open_world()
    assert (cohorts.most_reports, cohorts.max_staleness, cohorts.weighting) == (90, 0, Waves.weighting)
    admitted = np.ones(2000, bool)
    cohorts.plan_round(1, admitted)
    timeline = Timeline(cohorts.fleet, config.cohort, prepared.work)
    again = FleetCohorts(timeline, Waves(WavesSettings(3), timeline))
    again.load_state(cohorts.state())
    one, other = (source.plan_round(2, admitted) for source in (cohorts, again))
    np.testing.assert_array_equal(one.reporters, other.reporters)
    assert one.funnel == other.funnel


def test_its_settings_are_flags_and_keys_with_it_alone(registered, tmp_path):
    config = parse_simulate([*FLAGS, "--cohort.wave-s", "60"]).run
    text = to_toml(config)
    assert tomllib.loads(text)["cohort"]["wave_s"] == 60 and "over_selection" not in text
    (tmp_path / "run.toml").write_text(text)
    assert parse_simulate(["--config", str(tmp_path / "run.toml")]).run == config
    with pytest.raises(ConfigError, match=r"--cohort.waves: expected only with --cohort.policy waves"):
        parse_simulate(["--cohort.waves", "3"])
    with pytest.raises(ConfigError, match=r"--cohort.deadline-s: expected only with --cohort.policy synchronous or"):
        parse_simulate([*FLAGS, "--cohort.deadline-s", "60"])
    with pytest.raises(ConfigError, match=r"--cohort.waves: expected a number >= 1, found 0"):
        parse_simulate(["--cohort.policy", "waves", "--cohort.waves", "0"])


def test_by_entry_point_help_lists_it(monkeypatch, capsys):
    points = EntryPoints([EntryPoint("waves", f"{__name__}:KIND", POLICIES.group)])
    monkeypatch.setattr(doors, "_all_entry_points", lambda: points)
    monkeypatch.setattr(POLICIES, "_kinds", dict(POLICIES._kinds))
    assert POLICIES.kind("waves") is KIND
    with pytest.raises(SystemExit):
        parse_simulate([*FLAGS, "--help-all"])
    said = " ".join(capsys.readouterr().out.split())
    assert "one of synchronous, deadline, buffered, waves;" in said and "--cohort.wave-s" in said


class Torn(Waves):
    def plan_round(self, server_round, may_participate):
        return 1 / 0


def test_a_policy_that_raises_is_named_with_the_place(registered):
    config = parse_simulate([*FLAGS, "--privacy.mechanism", "none"]).run
    _, cohorts = prepare_dry_run(config)
    torn = FleetCohorts(cohorts.timeline, Torn(WavesSettings(), cohorts.timeline))
    message = r"^round policy Torn: expected a plan of the round, found ZeroDivisionError at test_policy_door\.py:\d+$"
    with pytest.raises(ConfigError, match=message):
        torn.plan_round(1, np.ones(2000, bool))
