"""What it takes to forget phones, worked out from a run's records and said before and after it is done."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from client_model.text.population import phone_labels
from server_strategy.privacy.account_lines import AccountError
from server_strategy.privacy.ledger_lines import decode_labels, life_begins, read_ledger
from server_strategy.privacy.ledger_paths import way_to
from server_strategy.privacy.ledger_reading import plan_on_record, recompute
from server_strategy.privacy.plan import PrivacyPlan
from server_strategy.privacy.rounded_up import Bound
from server_strategy.state import branch, leaf
from simulation.config import RunConfig
from simulation.run.accepted_input import accept_input
from simulation.run.checkpoint import totals_of
from simulation.run.directory import RunDirectory
from simulation.run.forgotten import Request
from simulation.studies.forgetting.earlier_lives import sums_elsewhere
from simulation.subcommands import command
from simulation.tables import console_for, print_facts


@dataclass(frozen=True)
class Forecast:
    """What it takes to forget phones.

    Attributes:
        phones: that are to go, with those that hold messages drawn from theirs, and with those that are gone.
        named: of them, that somebody named now and that are not gone.
        of_fleet: phones in the fleet.
        took_part: of them, that are in a sum of the run.
        first_round: of the first such sum; None: they are in none.
        gone_out: releases with phones of them from before the run went back: they are out, and not in this model.
        back_to: the round after which the run goes on; 0: its beginning.
        done: completed rounds that it has.
        kept: of them, that stay.
        rounds: completed rounds when it is over.
        epsilon: spent by now; None without noise.
        most_epsilon: once it is over, at most.
        budget: epsilon above which the run makes no release; None: there is none.
        other_words: whether the run's words were counted, and are others without the phones.
        words_with_noise: whether its words were chosen with noise, and stay.
        repeatable: whether the noise follows from the seed.
        no_room: why the run's privacy account lets it not go back; None: it does, or there is none.
    """

    phones: int
    named: int
    of_fleet: int
    took_part: int
    first_round: int | None
    gone_out: int
    back_to: int
    done: int
    kept: int
    rounds: int
    epsilon: float | None
    most_epsilon: float | None
    budget: float | None
    other_words: bool
    words_with_noise: bool
    repeatable: bool
    no_room: AccountError | None

    @property
    def is_free(self) -> bool:
        """Whether the model stays, since the phones are not in it."""
        return self.kept == self.rounds

    @property
    def above_budget(self) -> bool:
        """Whether the run may come to its budget before it is over."""
        return self.budget is not None and not self.is_free and (self.most_epsilon or 0.0) > self.budget


def forecast_of(config: RunConfig, root: Path, request: Request | None) -> Forecast:
    """What it takes, by where the run would go on.

    Args:
        config: of the run.
        root: its folder.
        request: to forget phones besides those on record; None: there are none.

    Raises:
        InputError, CheckpointError: the run's records are missing or damaged, or too few phones are left.
    """
    from simulation.run.going_back import where_it_goes_on
    from simulation.run.preparation import settle

    prepared = settle(accept_input(config, resume=True, to_forget=() if request is None else (request,)))
    directory, phones = RunDirectory(root), prepared.forgotten.phones
    at = where_it_goes_on(directory.checkpoints, prepared)
    now, then = totals_of(at.newest), totals_of(at.stored)
    entries, _ = read_ledger(directory.ledger)
    head = int(leaf(branch(branch(at.newest.state, "strategy"), "ledger"), "line"))
    plan = plan_on_record(directory.ledger, entries, prepared.plan.mechanism)
    labels = phone_labels(str(at.newest.about["salt"]), prepared.digests[phones])
    wanted = np.array([int(label, 16) for label in labels], np.uint64)
    on_the_way = {*way_to(entries, head), *range(life_begins(entries) + 1, len(entries))}
    took_part, first_round = _part_taken(entries, on_the_way, wanted)
    release = entries[head]["release"]
    spent = recompute(directory.ledger, release, prepared.plan.mechanism, line=head, everything=True)
    rho, is_over = spent["zcdp_rho"], then.is_over(config.rounds)
    most = None if rho is None or plan.zcdp_rho is None else plan.epsilon_of(rho + plan.zcdp_rho)
    then_words, now_words = (
        one["vocabulary"] for one in (at.newest.about["fingerprint"], at.stored.about["fingerprint"])
    )
    return Forecast(
        phones=len(phones),
        named=0 if request is None else len(request.phones),
        of_fleet=len(prepared.digests),
        took_part=took_part,
        first_round=first_round,
        gone_out=sums_elsewhere(entries, wanted, on_the_way),
        back_to=then.server_round,
        done=now.rounds_completed,
        kept=then.rounds_completed,
        rounds=then.rounds_completed if is_over else config.rounds,
        epsilon=spent["epsilon"],
        most_epsilon=spent["epsilon"] if is_over else most,
        budget=plan.epsilon_budget,
        other_words=then_words != now_words,
        words_with_noise=plan.vocabulary is not None,
        repeatable=plan.mechanism is not None and plan.noise_source == "seeded",
        no_room=None if is_over else _no_room(config, plan, str(at.newest.about["salt"]), rho or 0.0),
    )


def _part_taken(
    entries: Sequence[Mapping[str, Any]], lines: Collection[int], labels: NDArray[np.uint64]
) -> tuple[int, int | None]:
    """How many phones are in a sum of the run, and the first round that has one of them; None: no round has.

    Args:
        entries: of the ledger.
        lines: of it, that are of the run.
        labels: uint64, of the phones.
    """
    took_part, rounds = np.zeros(len(labels), bool), []
    for line in lines:
        there = np.isin(labels, decode_labels(entries[line].get("participants", "")))
        if there.any():
            rounds.append(int(entries[line]["round"]))
            took_part |= there
    return int(took_part.sum()), min(rounds, default=None)


def _no_room(config: RunConfig, plan: PrivacyPlan, salt: str, rho: float) -> AccountError | None:
    """Why the account does not hold what the run would come to; None if it does, or if there is none."""
    from simulation.run.account_room import require_room_to_go_back

    try:
        require_room_to_go_back(config, plan, salt, rho)
    except AccountError as error:
        return error
    return None


def print_forecast(out: TextIO, root: Path, found: Forecast) -> None:
    """Say what it takes, before anything is done."""
    others = found.phones - found.named
    who = f"{found.named:,} of {found.of_fleet:,}" + (
        f", and {others:,} that are forgotten with them or were before" if others else ""
    )
    took = "none of them is in this model" if found.gone_out else "none of them was ever in a sum"
    if found.first_round is not None:
        took = f"{found.took_part:,} of them, first in round {found.first_round:,}"
    if found.gone_out:
        plural = "" if found.gone_out == 1 else "s"
        took += f"; in {found.gone_out:,} release{plural} that went out, not in this model"
    rows: list[tuple[str, list[str]]] = [("phones to forget", [who]), ("took part", [took])]
    rows += [("goes on from", [_place(found)]), ("rounds to play", [_rounds(found)])]
    if found.other_words:
        rows.append(("words", ["were counted with these phones' text and are others without: counted again"]))
    if found.words_with_noise:
        rows.append(("words", ["stay: they were chosen with noise, at a cost that is part of epsilon"]))
    if found.epsilon is not None and found.most_epsilon is not None:
        most = f"{Bound(found.epsilon):.2f} spent by now" + (
            ""
            if found.is_free
            else f", at most {Bound(found.most_epsilon):.2f} afterwards: what was released before is counted as well, "
            "for good"
        )
        rows.append(("epsilon", [most]))
    if found.above_budget:
        kept = f"{found.budget:.4g}: the run keeps to it, and may end as early as after round {found.back_to:,}"
        rows.append(("budget", [kept]))
    if found.no_room is not None:
        rows.append(("account", [f"does not let it go back: {found.no_room}"]))
    print_facts(console_for(out), rows)


def no_room_for(found: Forecast) -> tuple[str, str]:
    """What a run that may be gone back with has, and what is there in one whose budget may end it.

    Args:
        found: that is `above_budget`.
    """
    what = f"room for what was released and what is to be in its epsilon budget of {found.budget:.4g}"
    why = f"{Bound(found.epsilon):.4g} spent and at most {Bound(found.most_epsilon):.4g} in the end"
    return what, f"{why}; --ends-early lets it end where the budget does"


def _place(found: Forecast) -> str:
    if found.is_free:
        return "where it is: the model stays as it is"
    if not found.back_to:
        return "its beginning: there is no checkpoint from before that can be used"
    return f"the checkpoint after round {found.back_to:,}"


def _rounds(found: Forecast) -> str:
    if found.is_free:
        return "none"
    return f"{found.rounds - found.kept:,}, of which {found.done - found.kept:,} for the second time"


def print_after(out: TextIO, root: Path, found: Forecast, epsilon: float | None) -> None:
    """Say what is done, and what is not, of a run that is over."""
    one, gone = found.phones == 1, found.done - found.kept
    who, them, they = ("1 phone", "it", "it") if one else (f"{found.phones:,} phones", "them", "they")
    rows: list[tuple[str, list[str]]] = [("forgotten", [f"{who}; {root} never lets {them} in again"])]
    if gone > 0:
        models = "1 model that was" if gone == 1 else f"{gone:,} models that were"
        rows.append(("not called back", [f"{models} released since {they} came: who has one keeps it"]))
    if epsilon is not None:
        rows.append(("epsilon", [f"{Bound(epsilon):.2f}, of all that was ever released"]))
    if found.repeatable and not found.is_free:
        rows.append(("noise", ["fresh, and repeatable: who knows the seed can take it off all of these models"]))
    rows.append(
        ("yours to do", ["take their messages out of the text itself; forget them in runs that began from this one"])
    )
    rows.append(("check", [command("scripts/check_privacy.py", root)]))
    print_facts(console_for(out), rows)
