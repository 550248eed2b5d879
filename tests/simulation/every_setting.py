"""Every setting, another value for it, and where its effect is seen.

An effect is seen in what is settled before the first phone trains, which is made here from small settings, or, for
what comes later, in the module that reads the setting.
"""

import ast
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from server_strategy.optimizers.base import learning_rate_at
from simulation.config import RunConfig
from simulation.run.preparation import prepare
from simulation.settings import choose, flag_name, leaves, selectors, with_values
from simulation.unused import defaults_beside, without_effect
from simulation.world.aggregation_settings import steps_of
from simulation.world.consent.labels import PhoneLabels
from simulation.world.consent.source import consent_source
from simulation.world.fleet import Fleet
from simulation.world.fleet_cohorts import make_cohorts
from simulation.world.timeline import PhoneWork
from tests.client_model.text.formats.files import write_hdf5, write_leaf, write_saved, write_sqlite
from tests.conftest import ROOT
from tests.syntax_trees import nodes_of_file
from typefleet.errors import ConfigError, InputError

SMALL = {
    "rounds": 8,
    "fleet.size": 120,
    "data.format": "synthetic",
    "cohort.goal": 8,
    "data.vocabulary_phones": 60,
    "model.vocabulary_size": 200,
    "model.embedding_size": 8,
    "model.units": 8,
    "evaluation.max_phones": 10,
    "privacy.noise_multiplier": 1.0,
    "privacy.modelled_cohort": 500,
}


NOBODY = np.zeros(0, np.uint64)  # of the text has a name; phones are called by their number


# Where an effect is seen -----------------------------------------------------------------------------


def settled_part(look: Callable[[RunConfig], str]) -> Callable[[RunConfig], str]:
    """Looked at once for each configuration; input that cannot be used is seen as what is said of it."""

    @cache
    def looked_at(config: RunConfig) -> str:
        try:
            return look(config)
        except InputError as error:
            return str(error)

    return looked_at


@settled_part
def rounds(config: RunConfig) -> str:
    """Who reports in each round, when it closes and what became of the others."""
    consents = consent_source(config.consent, config.seed, lambda: PhoneLabels(300, NOBODY, NOBODY))
    fleet = Fleet(config.fleet, 300, config.seed, np.arange(300), consents=consents)
    steps = steps_of(config.aggregation, config.cohort, 125_000, config.seed)
    work = PhoneWork(500_000, lambda phones, _: 400 + 37 * (phones % 50), steps)
    cohorts, everybody = make_cohorts(fleet, config.cohort, work), np.ones(300, bool)
    played = [cohorts.plan_round(number, everybody) for number in range(1, 13)]
    return repr([(p.reporters.tolist(), p.funnel, p.abandoned, p.update_weight) for p in played])


@settled_part
def prepared(config: RunConfig) -> str:
    """Text, split, vocabulary, baselines, starting point, tokens of phones, and what goes to the hosts."""
    p = prepare(config)
    arrays = (p.digests, p.training_phones, p.held_out_phones, p.work.training_tokens(p.training_phones[:60], 1))
    start = None if p.start is None else p.start.digest
    skipped = p.population.skipped_lines
    return repr([*(a.tolist() for a in arrays), p.vocabulary, p.baselines, start, skipped, p.task.to_json()])


@settled_part
def plan(config: RunConfig) -> str:
    """The privacy plan."""
    return repr(prepare(config).plan)


@settled_part
def steps(config: RunConfig) -> str:
    """The server optimizer's steps."""
    optimizer = config.server_optimizer.make()
    state, taken = optimizer.initial_state(3), []
    for release in range(config.rounds):
        rate = learning_rate_at(config.server_optimizer, release, config.rounds)
        step, state = optimizer.step(rate, np.array([1, -0.5, 1e-5], np.float32) * (release + 1), state)
        taken.append(step.tolist())
    return repr(taken)


@dataclass(frozen=True)
class ReadIn:
    """Where a later effect has its cause: this module reads the setting."""

    module: str

    def __call__(self, path: tuple[str, ...]) -> bool:
        return any(
            isinstance(node, ast.Attribute) and node.attr == path[-1] for node in nodes_of_file(ROOT / self.module)
        )


@dataclass(frozen=True)
class Try:
    """Another value, where its effect is seen, what it needs beside it to have one, and where it may come later."""

    value: Any
    seen_in: Callable[[RunConfig], str] | ReadIn
    beside: Mapping[str, Any] = field(default_factory=dict)
    or_later: ReadIn | None = None


def table(files: Path) -> dict[str, Try]:
    """For each setting, by its key; files of messages, weights and traces lie in a folder."""
    text = {"data.path": files / "messages.jsonl", "data.format": "auto", "fleet.size": None}
    mixed = {"data.format": "leaf", "data.path": files / "mixed.leaf.json"}
    trace = {"fleet.availability": "recorded", "fleet.trace": files / "trace.csv"}
    corpus = {"model.init": files / "public.jsonl"}
    quantile, buffered = {"privacy.clip_quantile": 0.5}, {"cohort.policy": "buffered"}
    scarce = {"cohort.goal": 40, "cohort.selection_timeout_s": 0.0}
    offices = {"fleet.other_best_local_hours": (14.0,), "fleet.other_best_local_hour_shares": (0.5,)}
    regions = {"consent.regions_h": (-5.0,), "consent.region_factors": (0.0,)}
    wave = {"consent.wave_day": 0.0}
    masked = {"aggregation.protocol": "secagg", "aggregation.step_latency_s": 100.0}
    summed = {"aggregation.protocol": "arithmetic", "aggregation.step_latency_s": 100.0}
    noised = {**summed, "privacy.noise_place": "phones"}
    unnoised = {"privacy.mechanism": "none", "privacy.noise_multiplier": None, "privacy.modelled_cohort": None}
    robust = {**unnoised, "aggregation.robust": "trimmed-mean", "aggregation.bucket_phones": 2}
    covered = {**trace, "fleet.trace_coverage": files / "coverage.csv"}
    return {
        "output_dir": Try(files / "run", ReadIn("simulation/run/lifecycle.py")),
        "rounds": Try(9, plan),
        "seed": Try(1, prepared),
        "data.path": Try(files / "fewer.jsonl", prepared, text),
        "data.format": Try("csv", prepared, {**text, "data.path": files / "table.txt"}),
        "data.sample_index": Try(0, prepared, {**text, **mixed, "data.on_bad_line": "skip"}),
        "data.user_column": Try("writer", prepared, text),
        "data.text_column": Try("writer", prepared, text),
        "data.time_column": Try("writer", prepared, text),
        "data.on_bad_line": Try("skip", prepared, {**text, "data.path": files / "damaged.jsonl"}),
        "data.redact": Try("mask", ReadIn("client_model/text/tokenised_file.py"), text),
        "data.phone_regions": Try(
            ("FR",), ReadIn("client_model/text/tokenised_file.py"), {**text, "data.redact": "mask"}
        ),
        "data.purpose": Try("research", ReadIn("client_model/text/population.py"), text),
        "data.keep_messages": Try(1, prepared),
        "data.keep_tokens": Try(5, prepared),
        "data.keep_days": Try(3.0, prepared, text),
        "data.held_out_share": Try(0.3, prepared),
        "data.vocabulary_path": Try(files / "vocab.txt", prepared, {"model.vocabulary_size": None}),
        "data.vocabulary_phones": Try(20, prepared),
        "data.min_phones_a_word": Try(9, prepared),
        "data.cache_dir": Try(files / "cache", ReadIn("client_model/text/tokenised_file.py"), text),
        "model.preset": Try("gboard", prepared, {"model.units": None}),
        "model.cell": Try("lstm", prepared),
        "model.layers": Try(3, prepared, {"model.cell": "stacked"}),
        "model.heads": Try(2, prepared, {"model.cell": "transformer"}),
        "model.window": Try(9, prepared, {"model.cell": "transformer"}),
        "model.vocabulary_size": Try(100, prepared),
        "model.embedding_size": Try(9, prepared),
        "model.units": Try(9, prepared),
        "model.sequence_length": Try(10, prepared),
        "model.init": Try(files / "public.jsonl", prepared),
        "model.init_is_public": Try(
            True,
            ReadIn("simulation/run/other_runs.py"),
            {"model.init": files / "weights.npz", "data.vocabulary_path": files / "vocab.txt"},
        ),
        "model.init_epochs": Try(1, ReadIn("simulation/run/starting_point.py"), corpus),
        "model.init_learning_rate": Try(1.0, ReadIn("simulation/run/starting_point.py"), corpus),
        "training.optimizer": Try("momentum", prepared),
        "training.proximal_weight": Try(0.5, prepared, {"training.optimizer": "proximal"}),
        "training.momentum": Try(0.5, prepared, {"training.optimizer": "momentum"}),
        "training.learning_rate": Try(4.0, prepared),
        "training.max_gradient_norm": Try(1.0, prepared),
        "training.batch_size": Try(4, prepared),
        "training.epochs": Try(2, prepared),
        "training.max_sequences": Try(2, prepared),
        "training.max_tokens": Try(20, prepared),
        "evaluation.people": Try("validation", prepared),
        "evaluation.every_rounds": Try(3, ReadIn("simulation/run/strategy.py")),
        "evaluation.max_phones": Try(4, prepared),
        "evaluation.max_sequences": Try(3, prepared),
        "evaluation.central": Try(True, ReadIn("simulation/run/central.py")),
        "evaluation.metrics": Try(("unheard_of",), prepared),
        "cohort.goal": Try(9, rounds),
        "cohort.policy": Try("deadline", rounds),
        "cohort.over_selection": Try(2.0, rounds),
        "cohort.deadline_s": Try(12.0, rounds),
        "cohort.selection_timeout_s": Try(0.0, rounds, {"cohort.goal": 40}),
        "cohort.pause_s": Try(600.0, rounds),
        "cohort.concurrency": Try(30, rounds, buffered),
        "cohort.staleness_exponent": Try(1.0, rounds, {**buffered, "cohort.concurrency": 60}),
        "cohort.max_staleness": Try(0, rounds, {**buffered, "cohort.concurrency": 60}),
        "cohort.minimum_report_share": Try(0.2, rounds, scarce, ReadIn("server_strategy/dp_fedavg.py")),
        "cohort.min_separation_rounds": Try(2, plan),
        "cohort.max_participations": Try(2, plan, {"cohort.min_separation_rounds": 2}),
        "cohort.min_separation_h": Try(48.0, rounds),
        "cohort.max_attempts_per_day": Try(1, rounds),
        "cohort.check_in_interval_s": Try(7200.0, rounds),
        "cohort.max_abandoned_in_a_row": Try(2, ReadIn("simulation/runner.py")),
        "privacy.mechanism": Try("tree", plan),
        "privacy.clip_norm": Try(3.0, plan),
        "privacy.clip_scope": Try("layer", plan),
        "privacy.clip_quantile": Try(0.5, plan),
        "privacy.clip_learning_rate": Try(0.3, plan, quantile),
        "privacy.clip_count_stddev": Try(40.0, plan, quantile),
        "privacy.noise_multiplier": Try(2.0, plan),
        "privacy.bands": Try(2, plan, {"privacy.mechanism": "banded"}),
        "privacy.buffers": Try(2, plan, {"privacy.mechanism": "blt"}),
        "privacy.workload": Try("momentum", plan, {"privacy.mechanism": "banded", "server_optimizer.name": "momentum"}),
        "privacy.tree_restart_rounds": Try(3, plan, {"privacy.mechanism": "tree"}),
        "privacy.target_epsilon": Try(3.0, plan),
        "privacy.noise_source": Try("seeded", plan),
        "privacy.sampler": Try("discrete", plan),
        "privacy.keep_noise_secret": Try(True, ReadIn("simulation/run/outcome.py")),
        "privacy.delta": Try(1e-7, plan),
        "privacy.modelled_cohort": Try(900, plan),
        "privacy.account": Try(files / "account.jsonl", ReadIn("simulation/run/account.py")),
        "privacy.total_epsilon": Try(
            9.0, ReadIn("simulation/run/account.py"), {"privacy.account": files / "account.jsonl"}
        ),
        "privacy.vocabulary_epsilon": Try(2.0, plan),
        "privacy.vocabulary_words_per_phone": Try(30, plan),
        "privacy.adjacency": Try("add-or-remove", plan),
        "privacy.poisson_counterfactual": Try(True, plan),
        "privacy.noise_place": Try("phones", plan, summed),
        "privacy.phone_noise": Try("skellam", plan, noised),
        "aggregation.bits": Try(24, plan, noised),
        "aggregation.robust": Try("median", ReadIn("simulation/run/aggregation.py"), robust),
        "aggregation.bucket_phones": Try(1, ReadIn("simulation/world/aggregation_settings.py"), robust),
        "aggregation.robust_share": Try(0.1, ReadIn("simulation/world/aggregation_settings.py"), robust),
        "aggregation.screening_norm": Try(
            3.0, ReadIn("simulation/run/aggregation.py"), {**unnoised, "aggregation.robust": "norm-screening"}
        ),
        "aggregation.screening_cosine": Try(
            0.5,
            ReadIn("simulation/world/aggregation_settings.py"),
            {**unnoised, "aggregation.robust": "cosine-screening", "aggregation.bucket_phones": 2},
        ),
        "aggregation.protocol": Try("arithmetic", ReadIn("simulation/run/aggregation.py")),
        "aggregation.neighbours": Try(4, rounds, masked),
        "aggregation.threshold": Try(7, rounds, masked),
        "aggregation.corrupted_share": Try(0.9, rounds, masked),
        "aggregation.dropout_share": Try(0.5, rounds, masked),
        "aggregation.step_latency_s": Try(300.0, rounds, masked),
        "server_optimizer.name": Try("yogi", steps),
        "server_optimizer.learning_rate": Try(0.5, steps),
        "server_optimizer.schedule": Try("linear", steps),
        "server_optimizer.warmup_rounds": Try(2, steps),
        "server_optimizer.final_learning_rate_share": Try(0.5, steps, {"server_optimizer.schedule": "linear"}),
        "server_optimizer.momentum": Try(0.5, steps),
        "server_optimizer.second_moment_decay": Try(0.5, steps),
        "server_optimizer.adaptivity": Try(0.01, steps),
        "fleet.size": Try(125, prepared),
        "fleet.availability": Try("model", rounds, trace),
        "fleet.trace": Try(files / "other.csv", rounds, trace),
        "fleet.trace_coverage": Try(files / "coverage.csv", rounds, trace),
        "fleet.trace_devices": Try(files / "devices.csv", rounds, trace),
        "fleet.unobserved": Try("exclude", rounds, covered),
        "fleet.trace_times": Try("local", rounds, trace),
        "fleet.trace_idle": Try("locked", rounds, {**trace, "fleet.trace": files / "trace.json"}),
        "fleet.start_date": Try("2026-02-01", rounds),
        "fleet.utc_offsets_h": Try((0.0, 1.0, 2.0, 3.0, 4.0, 5.0), rounds),
        "fleet.utc_offset_weights": Try((1.0, 0.0, 0.0, 0.0, 0.0, 0.0), rounds),
        "fleet.eligible_share_alpha": Try(2.0, rounds),
        "fleet.eligible_share_beta": Try(2.0, rounds),
        "fleet.never_eligible_share": Try(0.5, rounds),
        "fleet.night_day_ratio": Try(1.0, rounds),
        "fleet.best_local_hour": Try(14.0, rounds),
        "fleet.other_best_local_hours": Try((18.0,), rounds, offices),
        "fleet.other_best_local_hour_shares": Try((0.2,), rounds, offices),
        "fleet.session_median_h": Try(0.5, rounds),
        "fleet.session_mean_h": Try(4.0, rounds),
        "fleet.long_session_share": Try(0.3, rounds),
        "fleet.long_session_median_h": Try(3.0, rounds, {"fleet.long_session_share": 0.3}),
        "fleet.reentry_share": Try(0.5, rounds),
        "fleet.reentry_gap_mean_h": Try(2.0, rounds, {"fleet.reentry_share": 0.5}),
        "fleet.train_s_per_token_median": Try(0.02, rounds),
        "fleet.speed_spread": Try("log-normal", rounds),
        "fleet.train_s_per_token_log_std": Try(0.2, rounds, {"fleet.speed_spread": "log-normal"}),
        "fleet.download_kbytes_per_s_median": Try(100.0, rounds),
        "fleet.upload_kbytes_per_s_median": Try(100.0, rounds),
        "fleet.network_log_std": Try(2.0, rounds),
        "fleet.tier_network_correlation": Try(1.0, rounds, {"fleet.network_log_std": 2.0}),
        "fleet.memory_floor_gb": Try(6.0, rounds),
        "fleet.failure_share": Try(0.4, rounds),
        "fleet.upload_failure_share": Try(0.95, rounds),
        "fleet.upload_tries": Try(1, rounds, {"fleet.upload_failure_share": 0.4}),
        "consent.path": Try(files / "consents.csv", rounds),
        "consent.train_share": Try(0.5, rounds),
        "consent.evaluate_share": Try(0.5, prepared),
        "consent.personalise_share": Try(0.5, ReadIn("simulation/world/consent/config.py")),
        "consent.telemetry_share": Try(0.5, ReadIn("simulation/world/consent/config.py")),
        "consent.regions_h": Try((1.0,), rounds, regions),
        "consent.region_factors": Try((1.0,), rounds, regions),
        "consent.withdrawn_a_day": Try(0.95, rounds),
        "consent.wave_day": Try(0.0, rounds),
        "consent.wave_share": Try(0.9, rounds, {**wave, "consent.wave_mean_days": 0.01}),
        "consent.wave_mean_days": Try(0.01, rounds, {**wave, "consent.wave_share": 0.9}),
        "consent.withdraws": Try(
            "training", ReadIn("simulation/world/consent/model.py"), {"consent.withdrawn_a_day": 0.5}
        ),
        "engine.address": Try("auto", ReadIn("simulation/engine/ray_start.py")),
        "engine.trust_network": Try(True, ReadIn("simulation/engine/ray_start.py")),
        "engine.workers": Try(3, ReadIn("simulation/engine/config.py")),
        "engine.device": Try("auto", ReadIn("simulation/engine/devices.py")),
        "engine.phones_at_a_time": Try(2, ReadIn("simulation/engine/devices.py")),
        "engine.devices_per_message": Try(1, ReadIn("simulation/run/strategy.py")),
        "engine.hosts_per_worker": Try(2, ReadIn("simulation/engine/engine.py")),
        "engine.checkpoint_every_rounds": Try(2, ReadIn("simulation/runner.py")),
        "engine.keep_checkpoints": Try("spaced", ReadIn("simulation/run/lifecycle.py")),
        "engine.message_timeout_s": Try(60.0, ReadIn("simulation/runner.py")),
        "engine.kernel": Try("tensorflow", ReadIn("simulation/run/kernel.py")),
        "engine.profile": Try(True, ReadIn("simulation/runner.py")),
        "storage.key": Try("env:STORAGE_KEY", ReadIn("simulation/run/lifecycle.py")),
        "tracking.trackers": Try((), ReadIn("simulation/run/trackers/base.py")),
        "tracking.experiment": Try(
            "mine", ReadIn("simulation/run/trackers/mlflow.py"), {"tracking.trackers": ("mlflow",)}
        ),
        "tracking.mlflow_store": Try(
            "shared", ReadIn("simulation/run/trackers/mlflow.py"), {"tracking.trackers": ("mlflow",)}
        ),
        "engine.export": Try(False, ReadIn("simulation/device/export.py")),
        "engine.report": Try(False, ReadIn("simulation/report/at_the_end.py")),
    }


# The trial ---------------------------------------------------------------------------------------------


def with_settings(config: RunConfig, values: Mapping[str, Any]) -> RunConfig:
    """By key; kinds first, since they decide which other settings there are."""
    by_path = {tuple(key.split(".")): value for key, value in values.items()}
    kinds = {selector.path for selector in selectors(config)} & set(by_path)
    config = choose(config, {path: by_path[path] for path in kinds})
    unknown = [flag_name(path) for path in by_path if path not in leaves(config)]
    if unknown:
        raise ConfigError(f"{unknown[0]}: expected only with another kind, found it without")
    return with_values(config, {path: value for path, value in by_path.items() if path not in kinds})


def without_what_is_switched_off(config: RunConfig) -> RunConfig:
    """What the small settings give and a kind leaves without effect is at its default."""
    defaults = defaults_beside(config)
    return with_values(config, {path: defaults[path] for path, _ in without_effect(config)})


def sections() -> list[tuple[str, str, str]]:
    """(key of a setting, key of a place where a kind is chosen, a kind) for all that are looked at together.

    Under the default kinds every setting; under another one those of its section, which it may leave without effect.
    """
    config = choose(RunConfig(), {})
    found = [(".".join(path), "", "") for path in leaves(config)]
    for selector in selectors(config):
        for kind in selector.door.names:
            there = leaves(choose(config, {selector.path: kind}))
            keys = (".".join(path) for path in there if path[0] == selector.path[0] and path != selector.path)
            found += [(key, ".".join(selector.path), kind) for key in keys]
    return found


def needs(key: str, kind: str, files: Path) -> dict[str, Any]:
    """What a kind needs beside it for a setting to have its effect."""
    if kind == "recorded":
        return {"fleet.trace": files / ("trace.json" if key == "fleet.trace_idle" else "trace.csv")}
    if kind in ("auto", "jsonl", "csv", "parquet"):
        name = "damaged" if key == "data.on_bad_line" else "messages"
        return {"data.path": files / f"{name}.{'jsonl' if kind == 'auto' else kind}", "fleet.size": None}
    if kind == "chitchat":
        return {
            "data.format": kind,
            "data.path": files / ("damaged.json" if key == "data.on_bad_line" else "chats.json"),
            "fleet.size": None,
        }
    if key == "data.sample_index":
        return {}
    if key == "privacy.phone_noise" and kind in ("tree", "banded", "blt"):
        return {"privacy.noise_place": "server"}  # no phone adds their noise
    if (key, kind) == ("model.sequence_length", "transformer"):
        return {"model.window": 5}  # which may not be longer
    if kind in OTHER_FILES:
        name = "damaged" if key == "data.on_bad_line" else "messages"
        return {"data.format": kind, "data.path": files / f"{name}.{OTHER_FILES[kind]}", "fleet.size": None}
    if kind == "synthetic":  # and not the text that is read without a path
        return {"data.path": None, "data.format": kind, "fleet.size": SMALL["fleet.size"]}
    return {}


OTHER_FILES = {"leaf": "leaf.json", "tff-sqlite": "sqlite", "tff-hdf5": "h5", "huggingface": "saved"}


def write_files(folder: Path) -> None:
    """Messages, a vocabulary and traces, under the names of the table."""
    rng = np.random.default_rng(0)
    lines = [(f"u{i % 40}", " ".join(f"word{w}" for w in rng.geometric(0.05, 8))) for i in range(600)]
    as_json = "".join(json.dumps({"user_id": user, "text": text}) + "\n" for user, text in lines)
    as_csv = "user_id,text\n" + "".join(f"{user},{text}\n" for user, text in lines)
    (folder / "public.jsonl").write_text(as_json.replace("word", "public"))
    (folder / "fewer.jsonl").write_text(as_json[: len(as_json) // 2].rpartition("\n")[0])
    (folder / "table.txt").write_text(as_csv)
    chats = [[{"sender": user, "text": text}] for user, text in lines]
    (folder / "chats.json").write_text(json.dumps({"c": {"messages": chats}}))
    (folder / "damaged.json").write_text(json.dumps({"c": {"messages": [*chats, [{"sender": "u1"}]]}}))
    for name, in_json, in_csv, in_parquet in (
        ("messages", "", b"", []),
        ("damaged", "not json\n", b"u1,\xff\n", [("u1", None)]),
    ):
        (folder / f"{name}.jsonl").write_text(as_json + in_json)
        (folder / f"{name}.csv").write_bytes(as_csv.encode() + in_csv)
        users, texts = zip(*lines, *in_parquet, strict=True)
        pq.write_table(pa.table({"user_id": users, "text": texts}), folder / f"{name}.parquet")
        rows = list(zip(users, texts, strict=True))
        write_leaf(folder / f"{name}.leaf.json", rows)
        write_sqlite(folder / f"{name}.sqlite", rows)
        write_hdf5(folder / f"{name}.h5", [(user, "\udcff" if text is None else text) for user, text in rows])
        write_saved(folder / f"{name}.saved", rows)
    write_leaf(folder / "mixed.leaf.json", [*lines, *((user, [f"{text} again"]) for user, text in lines)])
    said = "".join(f"#{phone},train,0,given\n" for phone in range(0, 120, 3))
    (folder / "consents.csv").write_text("phone,purpose,time_s,consent\n" + said)
    tokens = ["<pad>", "<bos>", "<eos>", "<oov>", ".", ",", "?", "!", *(f"w{n}" for n in range(30)), "the", "you"]
    (folder / "vocab.txt").write_text("\n".join(tokens) + "\n")
    write_traces(folder)


FLASH_DAY = [
    *(("01:00:00", event) for event in ("screen_off", "screen_unlock", "battery_charged_on", "wifi")),
    *(("05:00:00", event) for event in ("screen_on", "screen_lock")),
    *(("21:00:00", event) for event in ("screen_unlock", "battery_charged_off")),
]


def write_traces(folder: Path) -> None:
    rng = np.random.default_rng(1)
    starts = [(d, day * 86400 + int(rng.integers(0, 80_000))) for d in range(60) for day in range(3)]
    for name, duration_s in (("trace", 5000), ("other", 2500)):
        rows = "".join(f"d{d},{start},{start + duration_s}\n" for d, start in starts)
        (folder / f"{name}.csv").write_text("device_id,start_s,end_s\n" + rows)
    spans = "".join(f"d{d},0,{86400 * (3 + d % 3)}\n" for d in range(60))
    (folder / "coverage.csv").write_text("device_id,observed_from_s,observed_to_s\n" + spans)
    events = [f"2020-01-{day:02d} {hour}\t{event}" for day in range(1, 5) for hour, event in FLASH_DAY]
    phones = {f"d{d}": {"messages": "\n".join(events) + "\n"} for d in range(60)}
    (folder / "trace.json").write_text(json.dumps(phones))
    known = "".join(f"d{d},{0.001 * (1 + d % 9)},{2 + d % 7}\n" for d in range(60))
    (folder / "devices.csv").write_text("device_id,train_s_per_token,memory_gb\n" + known)
