"""What is said of a run before its first round: lines of a name and its value, to be broken where the terminal ends."""

from collections.abc import Iterator
from importlib.metadata import version
from typing import TYPE_CHECKING

from client_model.config import public_shape, starts_publicly
from client_model.text.population import text_source
from simulation.engine.clusters import warning_of
from simulation.run.aggregation_told import aggregation_words, robust_words
from simulation.run.kernel import bits_that_train, kernel_that_trains, kernels_of, trained_in_words
from simulation.run.other_runs import introduction
from simulation.run.preparation import Prepared
from simulation.run.report import plan_lines
from simulation.run.sustained import too_few_phones

if TYPE_CHECKING:
    from simulation.run.lifecycle import Run


def introduction_of(run: "Run") -> Iterator[str]:
    """Paragraphs: the folder, the phones, when they are available, the model, the privacy, and earlier runs.

    Args:
        run: that is about to begin or to go on.
    """
    prepared, config = run.prepared, run.config
    yield f"Typefleet {version('typefleet')}   {run.directory.root}"
    yield from _phones(prepared)
    yield f"available   {prepared.fleet.origin}"
    if prepared.fleet.consents is not None:
        yield f"consent     {prepared.fleet.consents.origin}"
    yield (
        f"model       {config.model.cell} {config.model.preset}: {len(prepared.vocabulary):,} words, "
        f"{prepared.shape.num_weights:,} weights{_start(prepared)}, trained {trained_in_words(prepared.task)}"
    )
    yield from (f"handed in   {name}: {part}" for name, part in prepared.parts.described().items())
    yield from _other_kernel(run)
    if config.engine.address is not None:
        yield warning_of(config.engine.address)
    if run.totals.server_round == 0 and (words := too_few_phones(prepared)) is not None:
        yield f"rounds      note: {words}"
    most_rho = run.strategy.most_rho(run.pays_again, run.totals.server_round + 1)
    yield plan_lines(run.strategy.plan, prepared.shape.num_weights, most_rho)
    if gone := len(prepared.forgotten.phones):
        yield f"forgotten   {_forgotten(gone, run.strategy.ledger.of_earlier_lives())}"
    if (words := aggregation_words(config)) is not None:
        yield words
    if (words := robust_words(config)) is not None:
        yield words
    yield from introduction(run)


def _other_kernel(run: "Run") -> Iterator[str]:
    """That a run goes on with another kernel, or another build of it, than that of its last round."""
    task, rounds = run.prepared.task, run.directory.read_rounds()
    here = {"round": 0, "kernel": kernel_that_trains(task), "kernel_bits": bits_that_train(task)}
    before, all_of_them = kernels_of(rounds), kernels_of([*rounds, here])
    if before and len(all_of_them) > len(before):
        yield (
            f"kernel      {all_of_them[-1][0]} from here on, {before[-1][0]} before: no settings alone give these "
            "weights again; rounds.jsonl has which round was whose"
        )


def _forgotten(phones: int, models: int) -> str:
    """What was taken out of the run, and that the bound is of all that was released before, too."""
    who = f"{phones:,} phone{'s' * (phones != 1)}, left out as if {'they' if phones != 1 else 'it'} had never come"
    if not models:
        return who
    made = "1 model" if models == 1 else f"{models:,} models"
    return f"{who}; what {made} of before cost counts on top, in epsilon above, see privacy.md"


def _phones(prepared: Prepared) -> Iterator[str]:
    config, population = prepared.config, prepared.task.population
    source = str(config.data.path or text_source(config.data))
    measured = ", measured on validation people" if config.evaluation.people == "validation" else ""
    yield f"phones      {len(prepared.digests):,} ({len(prepared.training_phones):,} train{measured}), {source}"
    skipped = prepared.population.skipped_lines
    if population.further:
        yield f"            {population.further:,} of them hold text drawn from people who train"
    if skipped:
        yield f"            {skipped:,} bad lines skipped"


def _start(prepared: Prepared) -> str:
    """Where the weights start."""
    start = prepared.start
    if start is None:
        config, own_cell = prepared.config, prepared.parts.cell is not None
        of_another_shape = starts_publicly(config.data) and (own_cell or public_shape(config.model) is None)
        return ", from random weights" + (": no public ones have its shape" if of_another_shape else "")
    return ", from those of public English" if start.ships_with_us else f", from {start.path.name}"
