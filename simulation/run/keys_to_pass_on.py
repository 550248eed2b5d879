"""The tables of keys of what is meant to be passed on: the privacy statement, what is signed, and the model's files.

Rows are as in `simulation.run.keys`, which has these tables, too.
"""

from simulation.run.sources import (
    COST,
    EVALUATION,
    RELEASES,
    SCHEDULE,
    SECRETS,
    SETTINGS,
    VOCABULARY,
    Keys,
    passed,
)

_SUMS = ("aggregation.*", "facts.aggregation.*")
_GONE = ("forgotten.*", "facts.forgotten.*")
_FACTS = ("outside_the_budget", "weighting", "date", "noise_secret_kept", "files", "words")
_PHONES = ("data_covered", "population_rule", "assumed_population", "most_phones_of_a_person")
_SAID = (
    *("mechanism", "mechanism_parameters", "mechanism_parameters.*", "noise_source", "noise_secret", "noise_sampler"),
    *("not_guaranteed", "noise_place", "phone_noise", "phone_noise.*", "phone_noise_kind"),
    *("date", "typefleet_version", "delta_rule", "epsilon_is_of", "unit", "adjacency", "adjacency_kind", "released"),
    *("adjacency_does_not_cover", "clip_count_sensitivity", "group_rule", "headline", "trust_model", "conversion"),
    *("amplification_by_sampling", "accountant", "outside_the_budget", "caveats"),
)
_COSTS = (
    *("statement_with_earlier_runs", "statement_with_account"),
    *("spent.*", "statement", "epsilon_exact_gaussian", "epsilon_over_delta", "epsilon_over_delta.*", "gdp_mu"),
    *(
        "vocabulary",
        "vocabulary.*",
        "group_privacy",
        "group_privacy.*",
        "charged_more_than_planned",
        "counterfactual_*",
    ),
)
_OTHERS = ("other_runs", "other_runs.*")  # runs that share its phones, or that it starts from
STATEMENT = (
    passed("audit.*", "facts.audit.*"),
    Keys((*_COSTS, *_OTHERS, *(f"facts.{name}" for name in _OTHERS)), "what happened, and its cost", COST),
    Keys((*_PHONES, *(f"facts.{name}" for name in _PHONES)), "how many phones there are", SCHEDULE),
    Keys(
        ("handling.*", "facts.handling.*"),
        "who agreed and who left, and what was encrypted",
        SCHEDULE,
    ),
    Keys(_GONE, "how many phones were forgotten, and what had been released by then", SCHEDULE),
    Keys(("weights_sha256", "facts.weights_sha256"), "the digest of the weights", RELEASES),
    Keys(
        ("recompute", "facts.recompute"),
        "the command that computes the cost again",
        SETTINGS,
    ),
    Keys(
        ("planned.*", *_SAID, *_SUMS, "vocabulary_from", "files", "files.*", *(f"facts.{name}" for name in _FACTS)),
        "the plan, and words",
        SETTINGS,
    ),
)

HEAD = (
    Keys(("config_sha256",), "a digest of the settings, by which a small seed can be found", SECRETS),
    Keys(
        ("lines", "last_hash", "epsilon", "epsilon_is_of", "epsilon_with_earlier_runs", "statement_sha256"),
        "the head of the ledger, the cost, and the digest of the statement",
        COST,
    ),
    Keys(("vocabulary_sha256",), "the digest of the vocabulary", VOCABULARY),
    Keys(("weights_sha256",), "the digest of the weights", RELEASES),
    Keys(("audit_trail_hash",), "the hash of a line of the audit trail, with a random salt", SETTINGS),
)

RELEASE_SIGNATURES = (
    Keys(("salt",), "a salt: with it a small seed can be found by the digest of the settings; null in model/", SECRETS),
    Keys(
        ("signatures.text",),
        "digests of weights, statement, ledger and files, salted ones of settings and audit, role, key and time",
        COST,
    ),
    Keys(("signatures.ed25519", "signatures.ml-dsa-65", "layout"), "signatures of digests", COST),
)

CARD = (
    passed("audit.*"),
    Keys(("metrics_on_held_out_phones.{metric}*",), "the metrics", EVALUATION),
    Keys(("trained_on.rounds", "trained_on.updates_of_phones", "trained_on.data_covered"), "the work", SCHEDULE),
    Keys(
        (
            *("privacy.spent.*", "privacy.statement", "privacy.statement_with_earlier_runs"),
            *("privacy.epsilon_exact_gaussian", "privacy.ledger*"),
        ),
        "the cost, and the head of the ledger",
        COST,
    ),
    Keys(("privacy.assumed_population", "privacy.population_rule"), "how many phones there are", SCHEDULE),
    Keys(("weights_sha256",), "the digest of the weights", RELEASES),
    Keys(
        (
            *("name", "typefleet_version", "model.*", "trained_on.text", "metrics_are", "limits"),
            *("privacy.mechanism", "privacy.mechanism_parameters*", "privacy.noise_source", "privacy.not_guaranteed"),
            *("privacy.delta_rule", "privacy.epsilon_is_of", "privacy.unit", "privacy.adjacency", "privacy.released"),
            *("privacy.trust_model", "privacy.conversion", "privacy.amplification_by_sampling", "privacy.accountant"),
            *("privacy.outside_the_budget", "privacy.caveats"),
        ),
        "the settings, and words",
        SETTINGS,
    ),
)

MANIFEST_ALONE = (Keys(("*.bytes", "*.sha256", "*.weights_sha256"), "sizes and digests", RELEASES),)
MANIFEST = (
    Keys(
        ("*.metrics.*", "*.same_first_word", "*.same_three_words", "*.contexts"),
        "how each file does on text of people who never train",
        EVALUATION,
    ),
    Keys(("*.ledger.*",), "the head of the ledger, and the cost", COST),
    *MANIFEST_ALONE,
)

VECTORS = (
    Keys(("vectors.expected.*",), "what each file suggests", RELEASES),
    Keys(("vectors.tokens", "vectors.ids"), "the sentences by the vocabulary's numbers", VOCABULARY),
    Keys(("about", "vectors.text", "vectors.typed"), "sentences of the project's own", SETTINGS),
)
