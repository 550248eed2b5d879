"""The tables of keys: every value in a run's files, and what it is computed from.

Names are dotted, and places in lists are left out: `by_group.phones`. A pattern may have * in it; {metric} stands for
each metric of the run and {count} for each count that the metrics need, so that a metric that is added has its row. A
key that no row names counts as not covered. What is meant to be passed on has its tables in a module of their own.
"""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from client_model.metrics.table import MetricTable
from simulation.run.keys_to_pass_on import CARD as CARD
from simulation.run.keys_to_pass_on import HEAD as HEAD
from simulation.run.keys_to_pass_on import MANIFEST as MANIFEST
from simulation.run.keys_to_pass_on import MANIFEST_ALONE as MANIFEST_ALONE
from simulation.run.keys_to_pass_on import RELEASE_SIGNATURES as RELEASE_SIGNATURES
from simulation.run.keys_to_pass_on import STATEMENT as STATEMENT
from simulation.run.keys_to_pass_on import VECTORS as VECTORS
from simulation.run.sources import (
    COST,
    COUNTED,
    EVALUATION,
    FAILURES,
    FILE_OF_TEXT,
    LABELS,
    ONE_PHONE,
    RELEASES,
    SCHEDULE,
    SECRETS,
    SETTINGS,
    SMALL_GROUPS,
    TIMES,
    TRAINED_TEXT,
    WITHOUT_NOISE,
    Keys,
    passed,
)

_FUNNEL = (
    *("invited", "dropped_failure", "dropped_ineligible", "dropped_upload", "late", "unused", "reported", "closed_s"),
    *("checked_in", "selection_s", "opened_s", "simulated_date", "withdrawn"),
)
_STEPPED = (
    *("group", "left_advertise", "left_share", "left_mask", "left_confirm", "left_unmask", "aggregation_s"),
    *("phone_up_bytes", "phone_down_bytes", "aggregation_failed", "bucket_left_out", "left_withdrawn"),
)
_BUFFERED = ("in_flight_before", "stale", "in_flight", "mean_staleness")
_PRIVACY = ("zcdp_rho", "epsilon", "delta", "epsilon_is_of")

SUMMARY = (
    Keys(("baseline_*_top*", "baseline_*_keystroke_savings"), "what counting words reaches", COUNTED),
    Keys(("{metric}", "{metric}.*"), "the metrics", EVALUATION),
    Keys(("tokens_trained",), "tokens trained on", TRAINED_TEXT),
    Keys(("skipped_lines",), "lines of the file that were passed over", FILE_OF_TEXT),
    Keys(
        ("wall_seconds", "train_wall_seconds", "tokens_per_second", "peak_driver_rss_bytes"), "time and memory", TIMES
    ),
    Keys(
        ("rounds_*", "devices_trained", "stopped_early", "simulated_seconds", "participation.*"),
        "rounds, updates, who was left out",
        SCHEDULE,
    ),
    Keys(("other_runs", "other_runs.*"), "what other runs on the same phones cost", COST),
    Keys(("aggregation", "aggregation.*"), "what became of the sums, and the bytes of a phone", SCHEDULE),
    Keys(("consent", "consent.*"), "who agrees to training, and updates of who withdrew", SCHEDULE),
    Keys(("baseline_training_phones",), "how many phones may train", SCHEDULE),
    Keys(_PRIVACY, "the cost", COST),
    Keys(("noise_source",), "whether the noise may be repeated", SETTINGS),
    Keys(("kernel", "kernel_bits"), "what trained phones", SETTINGS),
    Keys(("handed_in", "handed_in.*"), "objects that took the place of kinds, in words", SETTINGS),
    Keys(("weights_sha256",), "the digest of the weights", RELEASES),
)

ROUNDS = (
    Keys(("failed", "failed.*"), "why phones failed, each by its label", FAILURES),
    Keys(("abandoned",), "why nothing was released, the cause of a failure among it", FAILURES),
    Keys(("rejected",), "labels of phones whose update was not finite", FAILURES),
    Keys(("not_told",), "how many phones failed and agree to no record of it", FAILURES),
    Keys(("tokens", "loss", "clipped_share"), "tokens, loss and clipped share of the round's phones", TRAINED_TEXT),
    Keys(("aggregation.mean_update_norm",), "the mean norm of the round's updates", TRAINED_TEXT),
    Keys(("aggregation.wrapped_coordinates",), "how many numbers of the noised sum wrapped around", TRAINED_TEXT),
    Keys(("aggregation", "aggregation.*"), "how the sum was protected, and what became of it", SCHEDULE),
    Keys(("{metric}", "{metric}.*"), "the metrics", EVALUATION),
    Keys(("train_seconds", "tokens_per_second", "profile", "profile.*"), "time and memory", TIMES),
    Keys(("round", "completed", "reports", *_FUNNEL, *_BUFFERED, *_STEPPED), "the funnel", SCHEDULE),
    Keys(("zcdp_rho", "epsilon", "epsilon_is_of"), "the cost so far", COST),
    Keys(("clip_norm", "weights_sha256"), "the clip norm, and the digest of the weights", RELEASES),
    Keys(("kernel", "kernel_bits"), "what trained the round's phones", SETTINGS),
)

PARTICIPATION = (
    Keys(("by_group.share_of_tokens",), "tokens of each group", SMALL_GROUPS),
    Keys(("by_group.*",), "phones and updates of each group", SMALL_GROUPS),
    Keys(("text", "text.*"), "how much text phones that may train wrote, keep, and trained on", TRAINED_TEXT),
    Keys(("recall_by_group*",), "the metrics of each group's people", SMALL_GROUPS),
    Keys(("consent.*",), "who agrees to what and who leaves, in groups, with the metrics of each", SMALL_GROUPS),
    Keys(("not_shown.*",), "what is not shown, and why", SETTINGS),
    Keys(("overall.*",), "how evenly the work fell", SCHEDULE),
)

CENTRAL = (
    Keys(("metrics.*",), "the metrics of a model trained in one place", WITHOUT_NOISE),
    Keys(("epochs", "learning_rate"), "how it was trained", SETTINGS),
)

_ATTACK = tuple(f"attacks.{name}" for name in ("name", "attacker", "sees", "assumes", "quantity", "confidence"))
AUDIT = (
    Keys(
        ("attacks.value", "attacks.low", "attacks.high", "attacks.holds", "attacks.details*"),
        "what attacks come to, of phones that trained among them",
        TRAINED_TEXT,
    ),
    Keys(("attacks.bound", "attacks.bound_is", "attacks.why"), "what it is held to", COST),
    passed("release", "release.*"),
    Keys(("weights_sha256",), "the digest of the weights", RELEASES),
    Keys((*_ATTACK, "seed", "quick", "settings_sha256"), "who attacks, and how", SETTINGS),
)

_FIGURES = tuple(f"{of}.{name}" for of in ("run", "processing.subjects") for name in ("name", "unit", "source", "why"))
ASSESSMENT = (
    Keys(
        (
            *("processing.categories.*", "safeguards.figures*", "safeguards.why"),
            *("risks.likelihood.*", "risks.severity.*", "risks.score", "risks.band", "counts.risks_by_band.*"),
            *("open_decisions.known", "processing.subjects.value", "flows.lines", "flows.goes_on"),
        ),
        "figures of who trained and of groups, what attacks came to, and risks that follow from them",
        SMALL_GROUPS,
    ),
    Keys(("run.value",), "the digest of the weights, and how many rounds there were", SCHEDULE),
    Keys(
        ("processing.storage.*", "processing.files_in_no_table", "provisions.*"),
        "which files there are, how large and how old",
        TIMES,
    ),
    Keys(
        (
            *(*_FIGURES, "schema", "written_on", "typefleet_version", "notice", "simulation", "scale.*"),
            *("counts.open_decisions", "counts.absent_safeguards", "processing.purpose", "processing.legal_basis*"),
            *("processing.transfers*", "processing.recipients.*", "flows.name", "flows.protections*"),
            *("flows.on_the_way*", "safeguards.id", "safeguards.name", "safeguards.state", "safeguards.risk"),
            *("safeguards.covers", "safeguards.shown_by", "risks.id", "risks.name", "risks.about", "risks.absent"),
            *("open_decisions.id", "open_decisions.question", "open_decisions.by", "open_decisions.provisions"),
        ),
        "the settings, and words",
        SETTINGS,
    ),
)

HELD_OUT_PHONES = (
    Keys(("phone",), "numbers of the phones that never train", ONE_PHONE),
    Keys(("{count}",), "what was counted on each of them", ONE_PHONE),
)

CHECKPOINTS = (
    Keys(("about.salt",), "the salt of the labels", SECRETS),
    Keys(("strategy/noise/forgotten",), "that the noise is forgotten", SETTINGS),
    Keys(("strategy/ledger/key",), "the key of the digests of sums", SECRETS),
    Keys(("strategy/ledger/line",), "where in the ledger the run is", SCHEDULE),
    Keys(("strategy/noise/streams/*", "strategy/noise/releases"), "the state of the noise", SECRETS),
    Keys(
        ("about.began.noise_check", "about.began.noise_key_check"),
        "a digest of the noise's key, by which a seed can be found",
        SECRETS,
    ),
    Keys(
        ("about.began.life", "about.began.noise_life", "about.began.went_back", "about.began.record_*"),
        "how often phones were forgotten, and the hash of their record",
        SCHEDULE,
    ),
    Keys(("about.kernel", "about.kernel_bits"), "what trained phones", SETTINGS),
    Keys(("about.fingerprint.settings.*",), "the settings, the seed among them", SECRETS),
    Keys(("tokens_by_phone",), "tokens that each phone trained on", ONE_PHONE),
    Keys(("strategy/participation/*",), "how often each phone took part, and when last", ONE_PHONE),
    Keys(("strategy/evaluation/*",), "what was counted on each phone that never trains", ONE_PHONE),
    Keys(("world/*",), "where each phone is in the simulated world", ONE_PHONE),
    Keys(("about.fingerprint.*",), "digests of the text, of the vocabulary and of traces", FILE_OF_TEXT),
    Keys(("about.held_out.*", "about.held_out_at_start.*", "about.held_out*"), "the metrics", EVALUATION),
    Keys(("about.totals.tokens_trained",), "tokens trained on", TRAINED_TEXT),
    Keys(("about.totals.*_seconds",), "time", TIMES),
    Keys(("about.totals.*",), "rounds and updates", SCHEDULE),
    Keys(
        ("weights", "strategy/noise/clip_norm", "strategy/optimizer/*", "strategy/versions/*"),
        "weights, clip norm, and the optimizer's averages of released updates",
        RELEASES,
    ),
    Keys(
        ("about.layout", "about.began.start_sha256"), "the layout of the file, and what the run started from", SETTINGS
    ),
)

LEDGER = (
    Keys(("participants",), "labels of the phones that took part in the release", LABELS),
    Keys(("plan.*", "spent.*", "epsilon_is_of"), "the plan, and the cost so far", COST),
    Keys(("release", "round", "reports", "follows", "attempt"), "numbers of the release", SCHEDULE),
    Keys(("forgotten", "record_*"), "how many phones were forgotten, and the hash of their record", SCHEDULE),
    Keys(("sum_digest",), "a digest of the exact sum, of no use without its key in the checkpoints", TRAINED_TEXT),
    Keys(("sum",), "whether a noised sum may have been learnt, where phones add the noise", SCHEDULE),
    Keys(("vectors_digest",), "a digest of its vectors, of no use without the key of the noise", TRAINED_TEXT),
    Keys(("weights_sha256",), "the digest of the weights after it", RELEASES),
    Keys(("hash", "previous"), "the chain of hashes, of labels among the rest", LABELS),
)

TRAIL = (
    Keys(("at",), "when commands began and ended, and so how long they took", TIMES),
    Keys(("files.config.toml",), "a digest of the settings, by which a small seed can be found", SECRETS),
    Keys(("files.model/manifest.json",), "the digest of the manifest", EVALUATION),
    Keys(("files.model/weights.npz",), "the digest of the weights", RELEASES),
    Keys(("files.*",), "digests of the head of the ledger, and of what else the statement stands on", COST),
    Keys(
        (
            *("number", "event", "command", "flags", "user", "actor", "version", "of", "exit_code"),
            *("salt", "previous", "hash"),
        ),
        "who gave which command, and what became of it",
        SETTINGS,
    ),
)

# Tags of trackers.
CURVES = (
    Keys(
        ("training/loss_nats_per_token", "training/clipped_share", "training/tokens"),
        "loss, clipped share and tokens of each round",
        TRAINED_TEXT,
    ),
    Keys(("held_out/*", "{tag}"), "the metrics", EVALUATION),
    Keys(("figures/recall",), "the metrics beside what counting words reaches, as a picture", COUNTED),
    Keys(("_hparams_/*",), "the settings, the seed among them", SECRETS),
    Keys(("speed/*",), "time and memory", TIMES),
    Keys(("round/*", "training/completed_rounds"), "the funnel", SCHEDULE),
    Keys(("privacy/*", "figures/epsilon"), "the cost so far", COST),
    Keys(("training/clip_norm",), "the clip norm", RELEASES),
)

CONFIG = (
    Keys(("seed",), "the seed, with which seeded noise can be taken away", SECRETS),
    Keys(("*",), "the other settings, names of files among them", SETTINGS),
)

PERSONALISATION = (
    Keys(
        ("groups.*", "phones", "phones_with_too_little_text", "phones_without_consent"),
        "what held-out phones gain, in groups",
        SMALL_GROUPS,
    ),
    Keys(("fine_tuning.*", "rule"), "how they learned", SETTINGS),
)

# What the server has in memory, of each phone, by the fields of a host's answer.
RECEIVED = (
    Keys(
        ("norms", "loss_sums", "tokens"),
        "the norm of each phone's update, its loss and its tokens",
        ONE_PHONE._replace(cure="sums of them inside each host, bounded for each phone, and noise on the sum"),
    ),
    Keys(("phones", "rejected", "failed"), "which phones each answer is of", ONE_PHONE),
    Keys(("failure_causes",), "why phones failed", FAILURES),
    Keys(
        ("update_sum",),
        "the exact sum of a host's clipped updates, before the noise",
        ONE_PHONE._replace(cure="secure aggregation, and noise where nobody sees the sum"),
    ),
    Keys(("profile",), "time and memory of the host", TIMES),
)

# The same where it is to learn sums alone.
RECEIVED_SUMS = (
    Keys(
        ("total",),
        "the exact sum of the round's updates, norms, losses and tokens before the noise, with a robust rule of each "
        "bucket; with arithmetic of each host",
        TRAINED_TEXT._replace(cure="noise where nobody sees the sum"),
    ),
    Keys(("phones", "rejected", "failed"), "which phones each answer is of", ONE_PHONE),
    Keys(("vectors_digest",), "where phones add the noise, a digest of no use without their key", TRAINED_TEXT),
    Keys(("failure_causes",), "why phones failed", FAILURES),
    Keys(("profile",), "time and memory of the host", TIMES),
)

# And where the phones have added the noise to the sum of updates.
RECEIVED_NOISED = (
    RECEIVED_SUMS[0]._replace(
        holds="the round's noised sum of updates, exact sums of norms, losses and tokens; with arithmetic of each host"
    ),
    *RECEIVED_SUMS[1:],
)


def row_of(key: str, rows: Iterable[Keys], metrics: MetricTable) -> Keys | None:
    """The first row that names a key; None if none does, and it counts as not covered.

    Args:
        key: a dotted name.
        rows: of the file that it is in.
        metrics: that the run measures.
    """
    return next((row for row in rows for name in patterns(row, metrics) if fnmatchcase(key, name)), None)


def patterns(row: Keys, metrics: MetricTable) -> Iterable[str]:
    """The patterns of a row, with those of the metrics filled in."""
    named = {
        "{metric}": [metric.name for metric in metrics.metrics],
        "{count}": list(metrics.counters),
        "{tag}": [metric.scalar_tag for metric in metrics.metrics if metric.scalar_tag is not None],
    }
    for pattern in row.names:
        mark = next((mark for mark in named if mark in pattern), None)
        yield from [pattern] if mark is None else (pattern.replace(mark, one) for one in named[mark])


def dotted_keys(content: Any, prefix: str = "") -> set[str]:
    """Names of all values in nested mappings and lists; places in lists are left out.

    Example:
        >>> sorted(dotted_keys({"overall": {"phones": 3}, "by_group": [{"phones": 1}, {"phones": 2}], "why": []}))
        ['by_group.phones', 'overall.phones', 'why']
    """
    if isinstance(content, Mapping) and content:
        return {key for name, value in content.items() for key in dotted_keys(value, f"{prefix}{name}.")}
    if isinstance(content, list) and any(isinstance(one, Mapping | list) for one in content):
        return {key for one in content for key in dotted_keys(one, prefix)}
    return {prefix.removesuffix(".")}
