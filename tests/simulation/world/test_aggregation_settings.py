"""What phones add and send, by the settings."""

import pytest

from server_strategy.aggregation.config import AggregationConfig
from server_strategy.aggregation.terms import Step
from server_strategy.config import CohortConfig
from server_strategy.privacy.config import PrivacyConfig
from server_strategy.privacy.distributed_noise.settle import NoRoomError
from simulation.world.aggregation_settings import most_summed, noised_upload_bytes, phones_add, steps_of
from typefleet.errors import ConfigError

WEIGHTS = 1000


def added(cohort=None, modelled=None, kind="skellam", **aggregation):
    privacy = PrivacyConfig(noise_place="phones", phone_noise=kind, modelled_cohort=modelled)
    return phones_add(privacy, AggregationConfig("secagg", **aggregation), cohort or CohortConfig(), WEIGHTS)


@pytest.mark.parametrize(
    ("cohort", "modelled", "aggregation", "phones", "counted_on"),
    [
        (CohortConfig(goal=20), None, {}, 20, 15),  # 16 have to report, 1 may be corrupted
        (CohortConfig(goal=20), 20_000, {}, 20_000, 15_000),
        (CohortConfig(goal=20, minimum_report_share=1.0), None, {"corrupted_share": 0.0}, 20, 20),
        (CohortConfig(goal=20, minimum_report_share=0.01), None, {}, 20, 2),  # no sum is of fewer than 3
        (CohortConfig(goal=100, minimum_report_share=0.9), None, {"corrupted_share": 0.2}, 100, 70),
        (CohortConfig(goal=20, policy="deadline"), None, {}, 26, 15),
    ],
)
def test_the_claim_counts_on_the_fewest_honest_reports(cohort, modelled, aggregation, phones, counted_on):
    noise = added(cohort, modelled, **aggregation)(1.0)
    assert (noise.phones, noise.counted_on) == (phones, counted_on)
    assert noise.noise_stddev(counted_on, 1.0) == pytest.approx(1.0, rel=1e-12)
    assert (noise.dimension, noise.block) == (WEIGHTS, 1024)
    assert most_summed(cohort) == (26 if cohort.policy == "deadline" else cohort.goal)


def test_where_the_server_adds_the_noise_phones_add_none():
    assert phones_add(PrivacyConfig(), AggregationConfig("secagg"), CohortConfig(), WEIGHTS) is None


def test_what_does_not_fit_is_refused_by_its_flag():
    with pytest.raises(NoRoomError, match=r"--aggregation.bits: expected enough for noise of at least 1 unit"):
        added(kind="discrete-gaussian", modelled=20_000, bits=12)(1.0)
    with pytest.raises(NoRoomError, match=r"--aggregation.bits: expected more, for 4 standard deviations"):
        added(modelled=2_000_000, bits=12)(1.0)
    with pytest.raises(ConfigError, match=r"--aggregation.corrupted-share: corrupted phones: expected fewer than 16"):
        added(corrupted_share=0.9)(1.0)


def test_what_a_phone_sends_falls_with_the_bits():
    cohort, sizes, uploads = CohortConfig(), [], []
    for bits in (12, 16, 18, 32):
        aggregation = AggregationConfig("secagg", bits=bits, step_latency_s=0.0)
        steps = steps_of(aggregation, cohort, WEIGHTS, 0, noised=1024)
        sizes.append(steps.bytes_of(20)[Step.MASK].up)
        uploads.append(noised_upload_bytes(aggregation, cohort, 1024))
        assert uploads[-1] == 1024 * bits // 8 + 4 * 48 // 8
    plain = steps_of(AggregationConfig("secagg", step_latency_s=0.0), cohort, WEIGHTS, 0)
    assert sizes == sorted(sizes) and sizes[-1] < plain.bytes_of(20)[Step.MASK].up
    assert len({size - upload for size, upload in zip(sizes, uploads, strict=True)}) == 1  # a head
