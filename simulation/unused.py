"""Settings that would be ignored in silence are refused.

What a chosen kind brings has no flag without it, and a kind says itself what it leaves without effect
(`typefleet.doors.KindSettings.unused`); the rules here are for all other settings that one switches off. What counts as
given:

* on the command line: whatever stands there, even the default value, since somebody wrote it for this run;
* in a file or an object: what differs from the default. A run's own config.toml holds every setting, and one at its
  default changes nothing, so it may stand.

A flag that switches off what a file sets takes its place, as flags do: the file's value goes back to the default.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any

from client_model.config import default_start, public_shape
from client_model.public_start import PUBLIC_START, starting_file
from server_strategy.privacy.config import PHONES, with_default_noise
from server_strategy.privacy.mechanisms.door import mechanism_kind
from server_strategy.privacy.mechanisms.none import KIND as NO_PRIVACY
from simulation.settings import Path, choose, flag_in, flag_name, kind_settings, leaves, selectors, with_values
from typefleet.errors import ConfigError, expected

if TYPE_CHECKING:
    from simulation.config import RunConfig
    from simulation.parts import Parts


@dataclass(frozen=True)
class _Rule:
    """Settings that have an effect only together with another one."""

    section: str
    names: tuple[str, ...]
    only: str  # with or without what
    have_effect: Callable[["RunConfig"], bool]


def _start(config: "RunConfig") -> FilePath | None:
    """The file that weights come from; None: they are random."""
    init = config.model.init or default_start(config.data, config.model)
    return starting_file(init, lambda: public_shape(config.model))


def _starts_from_corpus(config: "RunConfig") -> bool:
    path = _start(config)
    return path is not None and path.suffix != ".npz" and not path.is_dir()


def _starts_from_weights(config: "RunConfig") -> bool:
    return _start(config) is not None and not _starts_from_corpus(config) and config.model.init != PUBLIC_START


def _counts_words_on_phones(config: "RunConfig") -> bool:
    return config.data.vocabulary_path is None and _start(config) is None


def _builds_vocabulary(config: "RunConfig") -> bool:
    return _counts_words_on_phones(config) or (config.data.vocabulary_path is None and _starts_from_corpus(config))


def _preset_counts(config: "RunConfig") -> bool:
    model = config.model
    return None in (model.embedding_size, model.units) or (model.vocabulary_size is None and _builds_vocabulary(config))


def _is_private(config: "RunConfig") -> bool:
    return mechanism_kind(config.privacy.mechanism).private


def _has_noise_of_phones(config: "RunConfig") -> bool:
    return config.privacy.noise_place == PHONES


def _may_select_words(config: "RunConfig") -> bool:
    return _is_private(config) and _counts_words_on_phones(config)


def _selects_words(config: "RunConfig") -> bool:
    return _may_select_words(config) and config.privacy.vocabulary_epsilon != "none"


def _asks_for_several_writers(config: "RunConfig") -> bool:
    models_a_deployment = with_default_noise(config.privacy).modelled_cohort is not None
    return _builds_vocabulary(config) and (models_a_deployment or not _selects_words(config))


_RULES = (
    _Rule(
        "data",
        ("on_bad_line", "cache_dir"),
        "with text from a file, or a file of messages as --model.init",
        lambda c: not c.data.is_synthetic or _starts_from_corpus(c),
    ),
    _Rule("data", ("redact",), "with text from a file", lambda c: not c.data.is_synthetic),
    _Rule("data", ("phone_regions",), "with --data.redact mask or drop", lambda c: c.data.redact != "off"),
    _Rule(
        "data",
        ("user_column", "text_column", "time_column"),
        "with --data.path and a format that names its columns",
        lambda c: c.data.has_columns,
    ),
    _Rule(
        "data",
        ("min_phones_a_word",),
        "with a vocabulary that is counted on messages (no --data.vocabulary-path, and no weights as --model.init), "
        "and on those of phones with --privacy.vocabulary-epsilon none or --privacy.modelled-cohort",
        _asks_for_several_writers,
    ),
    _Rule("model", ("preset",), "with sizes of the model left open", _preset_counts),
    _Rule(
        "model", ("vocabulary_size",), "without --data.vocabulary-path and weights as --model.init", _builds_vocabulary
    ),
    _Rule("model", ("init_is_public",), "with weights as --model.init", _starts_from_weights),
    _Rule("privacy", ("total_epsilon",), "with --privacy.account", lambda c: c.privacy.account is not None),
    _Rule(
        "model", ("init_epochs", "init_learning_rate"), "with a file of messages as --model.init", _starts_from_corpus
    ),
    _Rule(
        "privacy",
        (
            *("noise_multiplier", "target_epsilon", "delta", "modelled_cohort", "noise_source", "adjacency", "sampler"),
            "noise_place",
        ),
        f"without --privacy.mechanism {NO_PRIVACY.name}",
        _is_private,
    ),
    _Rule(
        "privacy",
        ("keep_noise_secret",),
        "with --privacy.noise-source secret, and a mechanism",
        lambda c: c.privacy.noise_source == "secret" and _is_private(c),
    ),
    _Rule(
        "privacy",
        ("clip_count_stddev",),
        f"without --privacy.mechanism {NO_PRIVACY.name}",
        _is_private,
    ),
    _Rule(
        "privacy",
        ("vocabulary_epsilon",),
        f"with words that are counted on phones (--model.init none, and no --data.vocabulary-path), and without "
        f"--privacy.mechanism {NO_PRIVACY.name}",
        _may_select_words,
    ),
    _Rule(
        "privacy",
        ("vocabulary_words_per_phone",),
        "with --privacy.vocabulary-epsilon, where words are counted on phones",
        _selects_words,
    ),
    _Rule(
        "privacy",
        ("clip_learning_rate", "clip_count_stddev"),
        "with --privacy.clip-quantile",
        lambda c: c.privacy.clip_quantile is not None,
    ),
    _Rule(
        "aggregation",
        ("neighbours", "threshold", "corrupted_share", "dropout_share", "step_latency_s"),
        "with --aggregation.protocol secagg or arithmetic",
        lambda c: c.aggregation.is_summed,
    ),
    _Rule(
        "aggregation",
        ("bucket_phones", "robust_share"),
        "with --aggregation.robust, but for norm-screening of single updates",
        lambda c: c.aggregation.robust != "none" and not c.aggregation.screens_each,
    ),
    _Rule(
        "aggregation",
        ("screening_norm",),
        "with --aggregation.robust norm-screening",
        lambda c: c.aggregation.robust == "norm-screening",
    ),
    _Rule(
        "aggregation",
        ("screening_cosine",),
        "with --aggregation.robust cosine-screening",
        lambda c: c.aggregation.robust == "cosine-screening",
    ),
    _Rule("aggregation", ("bits",), "with --privacy.noise-place phones", _has_noise_of_phones),
    _Rule("privacy", ("phone_noise",), "with --privacy.noise-place phones", _has_noise_of_phones),
    _Rule(
        "server_optimizer",
        ("final_learning_rate_share",),
        "with --server-optimizer.schedule linear or cosine",
        lambda c: c.server_optimizer.schedule != "constant",
    ),
    _Rule(
        "fleet",
        ("train_s_per_token_log_std",),
        "with --fleet.speed-spread log-normal",
        lambda c: c.fleet.speed_spread == "log-normal",
    ),
    _Rule(
        "fleet",
        ("tier_network_correlation",),
        "with --fleet.network-log-std > 0",
        lambda c: c.fleet.network_log_std > 0,
    ),
    _Rule(
        "fleet", ("upload_tries",), "with --fleet.upload-failure-share > 0", lambda c: c.fleet.upload_failure_share > 0
    ),
    _Rule(
        "consent",
        (
            *("train_share", "evaluate_share", "personalise_share", "telemetry_share", "regions_h", "region_factors"),
            *("withdrawn_a_day", "wave_day"),
        ),
        "without --consent.path",
        lambda c: c.consent.path is None,
    ),
    _Rule(
        "consent",
        ("wave_share", "wave_mean_days"),
        "with --consent.wave-day, and without --consent.path",
        lambda c: c.consent.wave_day is not None and c.consent.path is None,
    ),
    _Rule(
        "consent",
        ("withdraws",),
        "with --consent.withdrawn-a-day > 0 or --consent.wave-day, and without --consent.path",
        lambda c: c.consent.withdrawals and c.consent.path is None,
    ),
    _Rule("tracking", ("mlflow_store",), "with --tracking.trackers mlflow", lambda c: "mlflow" in c.tracking.trackers),
    _Rule(
        "tracking",
        ("experiment",),
        "with --tracking.trackers mlflow or wandb",
        lambda c: not {"mlflow", "wandb"}.isdisjoint(c.tracking.trackers),
    ),
    _Rule("engine", ("workers",), "without --engine.address", lambda c: c.engine.address is None),
)


def without_effect(config: "RunConfig") -> Iterator[tuple[Path, str]]:
    """The settings that change nothing in this configuration, and with or without what they would."""
    there = leaves(config)
    for rule in _RULES:
        for name in rule.names:
            if (rule.section, name) in there and not rule.have_effect(config):
                yield (rule.section, name), rule.only
    for section, settings in kind_settings(config):
        for name, only in settings.unused(partial(flag_in, section)).items():
            yield (*section, name), only


def defaults_beside(config: "RunConfig") -> dict[Path, Any]:
    """The default of every setting, under the kinds that a configuration chooses."""
    chosen = leaves(config)
    kinds = {selector.path: chosen[selector.path] for selector in selectors(config)}
    return leaves(choose(type(config)(), kinds))


def _refusal(where: str, only: str) -> str:
    return expected(where, f"only {only}", "it with" if only.startswith("without ") else "it without")


def refuse_unused(config: "RunConfig") -> None:
    """Refuse settings that differ from their default and change nothing.

    Raises:
        ConfigError: names the first one's flag.
    """
    values, defaults = leaves(config), defaults_beside(config)
    for path, only in without_effect(config):
        if values[path] != defaults[path]:
            raise ConfigError(_refusal(flag_name(path), only))


_OF_DEVICES = (
    *("train_s_per_token_median", "speed_spread", "train_s_per_token_log_std", "download_kbytes_per_s_median"),
    *("upload_kbytes_per_s_median", "network_log_std", "tier_network_correlation"),
)


def refuse_replaced(config: "RunConfig", parts: "Parts") -> None:
    """Refuse settings that differ from their default and choose or shape a part that an object takes the place of.

    And a format of files without a file.

    A configuration may name the very object that is handed in, as the config.toml of a run with it does.

    Raises:
        ConfigError: names the first one's flag.
    """
    config, default, places = choose(config, {}), choose(type(config)(), {}), parts.places()
    now, before = leaves(config), leaves(default)
    for selector in selectors(config):
        if (part := places.get(selector.path)) is None:
            continue
        only = f"without an object in the place of the {selector.door.what}"
        if now[selector.path] not in (before[selector.path], getattr(part, "name", None)):
            raise ConfigError(_refusal(flag_name(selector.path), only))
        settings = getattr(getattr(config, selector.path[0]), selector.settings)
        if settings not in (type(settings)(), part):
            changed = next(name for name, value in leaves(settings).items() if value != leaves(type(settings)())[name])
            raise ConfigError(_refusal(flag_name((*selector.path[:-1], *changed)), only))
    if parts.message_format is not None and config.data.path is None:
        raise ConfigError(expected("message_format", "only with --data.path", "it without"))
    if parts.devices is not None:
        for name in _OF_DEVICES:
            if now["fleet", name] != before["fleet", name]:
                raise ConfigError(_refusal(flag_name(("fleet", name)), "without devices handed in"))


def without_what_flags_switch_off(
    config: "RunConfig", before: "RunConfig", file: object, on_command_line: Callable[[Path], bool]
) -> "RunConfig":
    """A configuration without those settings of a file that the command line switched off.

    Args:
        config: with the file's settings and the flags.
        before: with the file's settings alone.
        file: its path.
        on_command_line: is the setting given there?

    Raises:
        ConfigError: a setting, on the command line or in the file, changes nothing.
    """
    unused_before = {path for path, _ in without_effect(before)}
    values, defaults, switched_off = leaves(config), defaults_beside(config), {}
    for path, only in without_effect(config):
        if on_command_line(path):
            raise ConfigError(_refusal(flag_name(path), only))
        if path not in unused_before:
            switched_off[path] = defaults[path]
        elif values[path] != defaults[path]:
            raise ConfigError(_refusal(f"{file}: {'.'.join(path)}", only))
    return with_values(config, switched_off)
