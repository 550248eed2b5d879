"""Take phones out of a run: say what it takes, put it on record, and let the run go on without them.

Everything that keeps the phones out is the run's own (`simulation.run.forgotten`, `simulation.run.going_back`): once
the request is on record, whoever resumes the run carries it out. Here is what a person sees of it, and the cache.
"""

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, TypeAlias

import numpy as np
from numpy.typing import NDArray

from client_model.quiet import import_tensorflow_quietly
from client_model.text.cache import EntryInUseError, NoEntryError, held_alone, take_away
from client_model.text.population import PopulationSpec, phone_labels
from server_strategy.privacy.account_lines import AccountError
from server_strategy.privacy.ledger_lines import decode_labels, life_begins, read_ledger
from server_strategy.privacy.ledger_paths import way_to
from server_strategy.privacy.ledger_reading import plan_on_record, recompute
from server_strategy.privacy.rounded_up import Bound
from server_strategy.state import branch, leaf
from simulation.config import RunConfig, settled
from simulation.flags import read_config
from simulation.run.accepted_input import AcceptedInput, accept_input
from simulation.run.checkpoint import newest_about, totals_of
from simulation.run.directory import RunDirectory
from simulation.run.forgotten import Request, record_request
from simulation.run.lock import only_writer
from simulation.steps import steps_shown_on
from simulation.storage.deletion_log import Deletion, record_deletion
from simulation.studies.forgetting.earlier_lives import sums_elsewhere
from simulation.studies.phone_story.finding import NOBODY, find_phone
from simulation.subcommands import command
from simulation.tables import console_for, print_facts
from typefleet.errors import ConfigError, expected, unwritable
from typefleet.sealed.envelope import is_encrypted
from typefleet.steps import step
from typefleet.untrusted.limits import RECORD_BYTES
from typefleet.untrusted.opening import read_bytes

if TYPE_CHECKING:
    from simulation.run.lifecycle import Run

Play: TypeAlias = "Callable[[RunConfig], Run]"
_FLAG, _DAY_S = "--phones", 86_400.0


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


def forget(
    out: TextIO, root: Path, names: Sequence[str], *, play: Play, dry_run: bool = False, ends_early: bool = False
) -> bool:
    """Take phones out of a run, or say what that would take.

    Args:
        out: where to.
        root: folder of the run.
        names: of the phones, see `find_phone`; or one file with a name a line.
        play: lets the run of these settings go on, as --resume does.
        dry_run: change nothing.
        ends_early: whether the run may end before its last round, where its budget of epsilon does.

    Returns:
        Whether it is done; False if it was interrupted, and is to be gone on with.

    Raises:
        RunInUseError: another process is working on the run.
        ConfigError: there is no such run or no such phone, or too few are left.
        AccountError: its privacy account has no room for what was released and what is to be, or was changed.
        CheckpointError, LedgerError: the run's records are missing or damaged.
    """
    config = replace(settled(read_config(root / "config.toml")), output_dir=root)
    import_tensorflow_quietly()
    with steps_shown_on(out), step("preparing text, vocabulary and fleet"):
        accepted = accept_input(config, resume=True)
        named = _named(names, accepted, root)
        new = np.setdiff1d(named, accepted.forgotten.phones)
        request = Request.of(accepted.digests[new]) if len(new) else None
        forecast = _forecast(config, accepted, root, request)
    print_forecast(out, root, forecast)
    if dry_run:
        return True
    if request is not None and forecast.above_budget and not ends_early:
        raise ConfigError(expected(root, *_no_room(forecast)))
    if request is not None and forecast.no_room is not None:
        raise forecast.no_room
    if request is not None:
        with only_writer(root):
            record_request(root, request)
    spec = accepted.spec
    del accepted
    run = play(config)
    finished, spent = run.finished, run.strategy.spent(run.finished)
    del run
    if finished:
        print_after(out, root, forecast, spent.epsilon)
        drop_cache(out, spec)
    return finished


def _named(names: Sequence[str], accepted: AcceptedInput, root: Path) -> NDArray[np.int64]:
    """The phones that are meant, sorted."""
    salt, places = newest_about(RunDirectory(root).checkpoints)["salt"], names_given(names)
    ids = accepted.spec.num_named
    nobody = "neither a phone nor a file of that name" if len(names) == 1 else NOBODY
    found = [find_phone(name, accepted.digests, ids, str(salt), flag, nobody=nobody) for name, flag in places]
    return np.unique(np.array(found, np.int64))


def names_given(names: Sequence[str]) -> list[tuple[str, str]]:
    """Each name of a phone, and where it was given.

    Args:
        names: as the flag has them; or one file with a name a line.

    Raises:
        ConfigError: there is none, or the file is no text.
    """
    if len(names) == 1 and _is_file(path := Path(names[0])):
        try:
            text = read_bytes(path, "names of phones, one a line", ConfigError, RECORD_BYTES).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise ConfigError(expected(f"{_FLAG}: {path}", "names of phones, one a line", "no text")) from error
        lines = [line.strip("\r") for line in text.split("\n")]
        places = [(line, f"{_FLAG}: {path}:{number}") for number, line in enumerate(lines, start=1) if line.strip()]
    else:
        each = [one for name in names for one in _divided(name)]
        places = [(one, f"{_FLAG}, name {number}" if len(each) > 1 else _FLAG) for number, one in enumerate(each, 1)]
    if not places:
        raise ConfigError(expected(_FLAG, "a phone at least", "none"))
    return places


def _is_file(path: Path) -> bool:
    """Whether it is one; a user id may be what no file can be called, such as one that is too long."""
    try:
        return path.is_file()
    except OSError:
        return False


def _divided(name: str) -> list[str]:
    """Names with commas between them; commas in a user id need a file."""
    return [one for one in name.split(",") if one]


def _forecast(config: RunConfig, accepted: AcceptedInput, root: Path, request: Request | None) -> Forecast:
    """What it takes, by where the run would go on."""
    from simulation.run.account_room import require_room_to_go_back
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
    took_part, rounds = np.zeros(len(wanted), bool), []
    for line in sorted(on_the_way):
        there = np.isin(wanted, decode_labels(entries[line].get("participants", "")))
        if there.any():
            rounds.append(int(entries[line]["round"]))
            took_part |= there
    release = entries[head]["release"]
    spent = recompute(directory.ledger, release, prepared.plan.mechanism, line=head, everything=True)
    rho, is_over = spent["zcdp_rho"], then.rounds_completed >= config.rounds or then.stopped_early is not None
    most = None if rho is None or plan.zcdp_rho is None else plan.epsilon_of(rho + plan.zcdp_rho)
    no_room: AccountError | None = None
    if not is_over:
        try:
            require_room_to_go_back(config, plan, str(at.newest.about["salt"]), rho or 0.0)
        except AccountError as error:
            no_room = error
    then_words, now_words = (
        one["vocabulary"] for one in (at.newest.about["fingerprint"], at.stored.about["fingerprint"])
    )
    return Forecast(
        phones=len(phones),
        named=0 if request is None else len(request.phones),
        of_fleet=len(prepared.digests),
        took_part=int(took_part.sum()),
        first_round=min(rounds, default=None),
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
        no_room=no_room,
    )


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


def _no_room(found: Forecast) -> tuple[str, str]:
    """What a run that may be gone back with has, and what is there in one whose budget may end it."""
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


def drop_cache(out: TextIO, spec: PopulationSpec) -> None:
    """Erase the tokenised text, with its key if it has one; it is made anew when the text is used again.

    Args:
        out: where to say what became of it.
        spec: of the population.

    Raises:
        ConfigError: it cannot be deleted.
    """
    if spec.cache_folder is None:
        return
    path = Path(spec.cache_folder)
    gc.collect()  # what this process itself has read of it, and let go of
    try:
        files = [one for one in path.rglob("*") if one.is_file()]
        with held_alone(path):
            now_s = time.time()
            deletion = Deletion(
                at=f"{datetime.fromtimestamp(now_s, UTC):%Y-%m-%dT%H:%M:%S+00:00}",
                what=f"{path.name}/",
                category="forget",
                files=len(files),
                bytes=sum(one.stat().st_size for one in files),
                keep_days=None,
                age_days=round((now_s - max(one.stat().st_mtime for one in files)) / _DAY_S, 3),
                key_erased=is_encrypted(path),
            )
            record_deletion(path.parent, deletion)
            take_away(path)
    except NoEntryError:
        return
    except EntryInUseError:
        said = f"stays, since a process reads it: {path.name}; show_cache.py empties the cache"
    except OSError as error:
        raise ConfigError(unwritable(path, error)) from error
    else:
        said = "erased; it is made anew from the text when that is used again"
    print_facts(console_for(out), [("tokenised text", [said])])
