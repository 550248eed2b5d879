"""What a robust rule does not go with, in one line each."""

import pytest

from server_strategy.aggregation.config import AggregationConfig, check_aggregation
from server_strategy.config import CohortConfig
from server_strategy.robust.config import check_robust, least_buckets, spoiled_at_most
from server_strategy.robust.rules import RULES
from typefleet.errors import ConfigError


@pytest.mark.parametrize(
    ("given", "goal", "private", "said"),
    [
        ({}, 20, True, "--aggregation.robust median: expected only with --privacy.mechanism none"),
        ({"robust": "norm-screening"}, 20, True, "statement of a run with noise does not cover what is left out"),
        ({"robust": "norm-screening", "protocol": "secagg"}, 20, False, "screening-norm: expected a number < 1 with"),
        ({}, 8, False, "expected a number that makes 3 to 64 buckets of 8 phones .1 of them may .*, found 2 buckets"),
        ({"robust_share": 0.0}, 8, False, r"of 8 phones \(fewer have no majority\), found 2 buckets"),
        ({"bucket_phones": 1}, 65, False, "--aggregation.bucket-phones: expected a number that makes 9 to 64 buckets"),
        ({"robust_share": 0.15}, 20, False, "expected a number that makes 7 to 64 buckets .* found 5 buckets"),
        ({"robust": "krum", "bucket_phones": 5}, 20, False, "makes 5 to 64 buckets of 20 phones .* found 4 buckets"),
    ],
)
def test_what_breaks_a_claim_or_is_too_little_is_refused(given, goal, private, said):
    aggregation = AggregationConfig(**{"robust": "median", **given})
    with pytest.raises(ConfigError, match=said):
        check_robust(aggregation, CohortConfig(goal=goal), is_private=private)


def test_a_buffer_is_refused():
    why = r"expected only with rounds that follow one another \(a buffer mixes .* for an attack\), found buffered"
    for rule in ("krum", "cosine-screening"):
        with pytest.raises(ConfigError, match=why):
            check_robust(AggregationConfig(robust=rule), CohortConfig(policy="buffered"), is_private=False)


def test_screening_of_each_phone_by_itself_needs_no_buckets_and_goes_with_a_buffer():
    alone = AggregationConfig(robust="norm-screening")
    for cohort in (CohortConfig(policy="buffered"), CohortConfig(goal=1), CohortConfig(goal=10_000)):
        check_robust(alone, cohort, is_private=False)
    assert alone.screens_each and not AggregationConfig("secagg", robust="norm-screening").screens_each


@pytest.mark.parametrize("protocol", ["secagg", "arithmetic"])
def test_a_bucket_is_no_smaller_than_secure_aggregation_allows(protocol):
    for phones in (1, 2):
        settings = AggregationConfig(protocol, robust="median", bucket_phones=phones)
        with pytest.raises(ConfigError, match=f"--aggregation.bucket-phones: expected a number >= 3 .* found {phones}"):
            check_aggregation(settings, CohortConfig())
    check_aggregation(AggregationConfig(protocol, robust="median", bucket_phones=3), CohortConfig())


@pytest.mark.parametrize("name", RULES)
def test_the_default_buckets_of_the_default_cohort_are_enough_for_every_rule(name):
    check_robust(AggregationConfig(robust=name), CohortConfig(), is_private=False)
    check_robust(AggregationConfig(), CohortConfig(goal=1), is_private=True)  # no rule


@pytest.mark.parametrize("phones", [1, 7, 20, 64])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.05, 0.3, 0.49])
def test_what_is_let_pass_a_rule_withstands(phones, share):
    spoiled = spoiled_at_most(share, phones, phones)
    assert share * phones <= spoiled + 1e-9 and spoiled <= phones
    assert least_buckets("krum", spoiled) == 2 * spoiled + 3 and least_buckets("median", spoiled) == 2 * spoiled + 1
