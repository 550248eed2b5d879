"""Folders of runs as a run leaves them, without the hour that it takes: every file by the module that writes it."""

import json
from dataclasses import replace

import numpy as np

from client_model.metrics.counting_baselines import Baselines
from client_model.metrics.table import metric_table
from server_strategy.funnel import Funnel
from server_strategy.pooled_evaluation import PhoneCounts
from simulation.config import RunConfig, settled
from simulation.flags import to_toml
from simulation.run.directory import RunDirectory
from simulation.run.held_out_phones import write_phone_counts
from simulation.run.records import RoundRecord, Summary
from simulation.world.participation import Participation

PEOPLE = 40
ROUNDS = 4


def counts_of(seed, skill, people=PEOPLE):
    """What was counted on each held-out person: their text by the seed, the hits by the skill as well."""
    rng = np.random.default_rng(seed)
    words = rng.integers(50, 400, people)
    tokens = words + rng.integers(5, 40, people)
    unknown, characters = words // 10, 5 * words
    hits = (words * (0.1 + 0.1 * rng.random(people))).astype(np.int64) + np.rint(skill * words).astype(np.int64)
    counts = {
        "word-positions": words,
        "out-of-vocabulary": unknown,
        "top1-hits": hits,
        "top3-hits": hits + words // 8,
        "characters": characters,
        "keystrokes": characters // 2 - hits,
        "tokens": tokens,
        "loss-sum": tokens * (4.2 - skill),
    }
    return PhoneCounts(np.arange(people) * 3, counts)


def config_of(seed=0, **changes):
    """`privacy={"mechanism": "blt"}` replaces those settings of the default."""
    config = RunConfig(rounds=ROUNDS, seed=seed)
    for section, values in changes.items():
        here = getattr(config, section)
        config = replace(config, **{section: replace(here, **values) if isinstance(values, dict) else values})
    return settled(config)


def _funnel(number):
    return Funnel(
        invited=10,
        dropped_failure=1,
        dropped_ineligible=0,
        dropped_upload=0,
        late=0,
        unused=1,
        reported=8,
        closed_s=number * 40_000.0,
        checked_in=50,
        selection_s=0.0,
        opened_s=number * 40_000.0 - 100,
        simulated_date="2026-01-05T00:00:17Z",
    )


def _record(number, epsilon, is_of, held_out):
    return RoundRecord(
        round=number,
        completed=number,
        abandoned=None,
        funnel=_funnel(number),
        reports=8,
        rejected=[],
        failed={},
        tokens=900,
        loss=5 - 0.2 * number,
        clip_norm=1.0,
        clipped_share=0.5,
        train_seconds=0.1,
        tokens_per_second=9000.0,
        zcdp_rho=None if epsilon is None else 0.1 * number,
        epsilon=None if epsilon is None else epsilon * number / ROUNDS,
        epsilon_is_of=is_of,
        held_out=held_out,
        weights_sha256="0" * 64,
    )


def _summary(rounds, epsilon, delta, is_of, held_out):
    return Summary(
        rounds_completed=rounds,
        rounds_abandoned=1,
        devices_trained=8 * rounds,
        tokens_trained=900 * rounds,
        wall_seconds=30.5,
        train_wall_seconds=20.0,
        stopped_early=None,
        tokens_per_second=9000.0,
        simulated_seconds=40_000.0 * rounds,
        held_out=held_out,
        zcdp_rho=None if epsilon is None else 0.4,
        epsilon=epsilon,
        delta=None if epsilon is None else delta,
        epsilon_is_of=is_of,
        noise_source=None if epsilon is None else "seeded",
        baselines=Baselines(bigram_top1=0.15, trigram_top1=0.16, bigram_top3=0.2, trigram_top3=0.22),
        skipped_lines=0,
        participation=Participation(phones=100, updates=32, never_used_share=0.7, gini=0.4, most_updates_of_a_phone=2),
        weights_sha256="0" * 64,
        peak_driver_rss_bytes=1,
    )


def make_run(
    folder,
    *,
    seed=0,
    skill=0.05,
    epsilon=2.0,
    delta=1e-6,
    cohort=20_000,
    with_phones=True,
    rounds=ROUNDS,
    people=PEOPLE,
    **changes,
):
    """Fill a new folder and return it; `skill` is what its recall gains over one without."""
    config = config_of(seed, **changes)
    run = RunDirectory(folder)
    run.model.mkdir(parents=True)
    run.config.write_text(to_toml(config))
    private = config.privacy.mechanism != "none"
    epsilon = epsilon if private else None
    is_of = f"a modelled deployment with {cohort:,} reports per round" if cohort else "this run"
    is_of = is_of if private else "no privacy"
    counted, table = counts_of(seed, skill, people), metric_table()
    held_out = table.values(counted.sums())
    for number in range(1, rounds + 1):
        measured = table.values(counts_of(seed, skill * number / ROUNDS, people).sums()) if number % 2 == 0 else None
        run.append_round(_record(number, epsilon, is_of, measured))
    run.write_summary(_summary(rounds, epsilon, delta, is_of, held_out))
    statement = {
        "mechanism": config.privacy.mechanism,
        "epsilon_is_of": is_of,
        "unit": "one phone",
        "adjacency": "zero-out",
        "planned": {"modelled_cohort": cohort if private else None},
        "spent": {"epsilon": epsilon},
        "caveats": ["The noise comes from a seeded generator."] if private else [],
    }
    (folder / "privacy.json").write_text(json.dumps(statement))
    if with_phones:
        write_phone_counts(run.held_out_phones, counted)
    return folder
