"""What a run comes to: its summary, its privacy statement, who took part, its model."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import numpy as np

from client_model.learning.language_model import unflatten
from client_model.text.population import most_phones_of_a_person, text_source
from server_strategy.privacy.statement import StatementFacts
from server_strategy.privacy.statement_account import other_runs_json
from server_strategy.privacy.statement_forgotten import PhonesForgotten
from simulation.engine.memory import peak_rss_bytes
from simulation.files import write_text_atomically
from simulation.run.aggregation_told import NOT_SHOWN, aggregation_facts
from simulation.run.artefacts import artefacts_of
from simulation.run.files_statement import origin_of_words
from simulation.run.handling_told import handling_of
from simulation.run.held_out_phones import write_phone_counts
from simulation.run.kernel import bits_that_train, kernel_that_trains
from simulation.run.ledger_head import write_head
from simulation.run.lifecycle import Run, checkpoint
from simulation.run.noise_secret import erase_noise_secret
from simulation.run.other_runs import keep_on_account, other_runs_now, settle, start_items
from simulation.run.records import Summary
from simulation.run.statement_pages import statement_pages, write_pages
from simulation.run.sums_told import sums_summary
from simulation.run.text_use import text_use
from simulation.run.words_outside import words_outside
from simulation.subcommands import PROGRAM
from simulation.world.consent.config import TELEMETRY
from simulation.world.opting_out import by_consent, consent_record, consent_summary
from simulation.world.participation import overall, participation_by_group, phone_groups, recall_by_group
from typefleet.plain_names import plain

_MOST_PHONES_READ = 50_000  # to group phones by their text; a millisecond's work for each twenty


def run_summary(run: Run) -> Summary:
    """What the run comes to so far."""
    plan, strategy, totals = run.strategy.plan, run.strategy, run.totals
    spent = strategy.spent(run.finished)
    rate = totals.tokens_trained / totals.train_wall_seconds if totals.train_wall_seconds else None
    lines = _lines(run)
    return Summary(
        rounds_completed=totals.rounds_completed,
        rounds_abandoned=totals.rounds_abandoned,
        devices_trained=totals.devices_trained,
        tokens_trained=totals.tokens_trained,
        wall_seconds=totals.wall_seconds,
        train_wall_seconds=totals.train_wall_seconds,
        stopped_early=totals.stopped_early,
        tokens_per_second=rate,
        simulated_seconds=run.cohorts.now_s,
        held_out=run.held_out,
        zcdp_rho=spent.zcdp_rho,
        epsilon=spent.epsilon,
        delta=spent.delta,
        epsilon_is_of=plan.epsilon_is_of,
        noise_source=None if plan.mechanism is None else plan.noise_source,
        baselines=run.prepared.baselines(),
        skipped_lines=run.prepared.population.skipped_lines,
        participation=overall(run.cohorts.fleet.may_train, strategy.participation.counts),
        weights_sha256=run.weights.sha256,
        peak_driver_rss_bytes=peak_rss_bytes(),
        other_runs=other_runs_json(other_runs_now(run)),
        aggregation=sums_summary(
            run.config,
            lines,
            run.prepared.shape.num_weights,
            noised=None if plan.phone_noise is None else plan.phone_noise.padded,
        ),
        consent=consent_summary(run.cohorts.fleet, run.cohorts.now_s, lines),
        handed_in=run.prepared.parts.described() or None,
        **_trained_by(run),
    )


def _trained_by(run: Run) -> dict[str, Any]:
    """What trained the last round; a run that is over may be ended by another build than played it."""
    own = {"kernel": kernel_that_trains(run.prepared.task), "kernel_bits": bits_that_train(run.prepared.task)}
    played = run.directory.read_rounds() if run.finished else []
    return {name: played[-1].get(name, None if name == "kernel_bits" else own[name]) for name in own} if played else own


def _consent_so_far(run: Run) -> dict[str, Any] | None:
    return consent_summary(run.cohorts.fleet, run.cohorts.now_s, _lines(run))


def _lines(run: Run) -> list[dict[str, Any]]:
    """Of rounds.jsonl; not read where nothing is made of them."""
    told = run.config.aggregation.is_summed or run.cohorts.fleet.consents is not None
    return run.directory.read_rounds() if told else []


def participation_record(run: Run) -> dict[str, Any]:
    """Who took part and who was left out: the content of participation.json."""
    prepared, fleet = run.prepared, run.cohorts.fleet
    summed = run.config.aggregation.is_summed
    grouped = fleet.num_phones <= _MOST_PHONES_READ and not summed
    volume = prepared.work.training_tokens(np.arange(fleet.num_phones), 1) if grouped else None
    groupings = phone_groups(fleet, volume)
    updates, evaluation = run.strategy.participation.counts, run.strategy.last_evaluation
    now_s, held_out = run.cohorts.now_s, prepared.held_out_phones
    consent = consent_record(fleet, now_s, held_out, groupings, evaluation=evaluation, metrics=prepared.metrics)
    return {
        "overall": asdict(overall(fleet.may_train, updates)),
        "by_group": participation_by_group(
            [*groupings, *by_consent(fleet, now_s)], fleet.may_train, updates, None if summed else run.tokens_by_phone
        ),
        "text": asdict(text_use(prepared.population, prepared.training_phones, updates > 0)) if grouped else None,
        **({"not_shown": NOT_SHOWN} if summed else {}),
        "recall_by_group": None if evaluation is None else recall_by_group(groupings, evaluation, prepared.metrics),
        **({} if consent is None else {"consent": consent}),
    }


def write_outcome(run: Run) -> None:
    """Replace summary.json and both privacy statements by what the run comes to so far."""
    keep_on_account(run)
    run.directory.write_summary(run_summary(run))
    plan, strategy = run.strategy.plan, run.strategy
    content, page = statement_pages(plan, strategy.spent(run.finished), statement_facts(run))
    write_pages(run.directory.root, content, page)


def statement_facts(run: Run) -> StatementFacts:
    """What the privacy statement says of this run's data."""
    data, prepared = run.config.data, run.prepared
    source = plain(text_source(data))
    training = len(prepared.training_phones)
    others = other_runs_json(other_runs_now(run))
    words = origin_of_words(data, prepared.start, run.strategy.plan, others)
    further = prepared.task.population.further
    drawn = (
        f"what several phones hold of one person: the text of {further:,} training phones is drawn from that of people "
        "with phones of their own, and the unit is one phone (see several phones of one owner)"
        if further
        else ""
    )
    return StatementFacts(
        data_covered=f"the text of the {training:,} training phones of {source}, as far as their phones took part",
        outside_the_budget=tuple(filter(None, (words_outside(data, words), *start_items(run), drawn))),
        recompute=f"{PROGRAM} check RUN_DIR",  # not where it lies: the statement is passed on
        weighting=run.cohorts.weighting,
        weights_sha256=run.weights.sha256,
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        other_runs=others,
        noise_secret_kept=run.config.privacy.keep_noise_secret,
        files=tuple(one.name for one in artefacts_of(run.config, run.directory.root)),
        words=words,
        handling=handling_of(run.config, run.directory.root, _consent_so_far(run)),
        aggregation=aggregation_facts(run.config),
        forgotten=phones_forgotten(run),
        most_phones_of_a_person=most_phones_of_a_person(prepared.task.population),
    )


def phones_forgotten(run: Run) -> PhonesForgotten | None:
    """What the statement says of phones that the run is without for good; None: nobody was forgotten."""
    gone = run.prepared.forgotten
    if not gone.requests:
        return None
    return PhonesForgotten(
        phones=len(gone.phones),
        times=gone.life,
        earlier_releases=run.strategy.ledger.of_earlier_lives(),
        of_earlier_runs=sum(len(one.phones) for one in gone.requests if one.taken_over),
        record_lines=int(run.began["record_lines"]),
        record_sha256=run.began["record_sha256"],
    )


def finish_run(run: Run) -> None:
    """Write the weights, the vocabulary, what was measured, and the privacy statement of a finished run.

    The secret of its noise is erased before, unless it is to be kept, and the state of the noise with it: nothing more
    is released.
    """
    if run.strategy.plan.noise_source == "secret" and not run.config.privacy.keep_noise_secret:
        checkpoint(run, forget_noise=True)
        erase_noise_secret(run.directory.root)
    shape = run.prepared.shape
    names = list(shape.weight_shapes())
    run.directory.write_weights(dict(zip(names, unflatten(run.flat, shape), strict=True)))
    write_text_atomically(run.directory.model / "vocab.txt", run.prepared.task.vocabulary)
    settle(run)
    write_outcome(run)
    if (counted := run.strategy.last_evaluation) is not None:
        told = counted.of(run.cohorts.fleet.agree(TELEMETRY, counted.phones, run.cohorts.now_s))
        write_phone_counts(run.directory.held_out_phones, told)
    participation = json.dumps(participation_record(run), indent=2)
    write_text_atomically(run.directory.root / "participation.json", participation, private=True)
    write_head(run.directory.root)
