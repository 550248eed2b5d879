"""Take phones out of a run: say what it takes, put it on record, and let the run go on without them.

Everything that keeps the phones out is the run's own (`simulation.run.forgotten`, `simulation.run.going_back`): once
the request is on record, whoever resumes the run carries it out. Here is what a person sees of it, and the cache.
"""

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, TypeAlias

import numpy as np
from numpy.typing import NDArray

from client_model.quiet import import_tensorflow_quietly
from client_model.text.cache import EntryInUseError, NoEntryError, held_alone, take_away
from client_model.text.population import PopulationSpec
from simulation.config import RunConfig, settled
from simulation.flags import read_config
from simulation.run.accepted_input import AcceptedInput, accept_input
from simulation.run.checkpoint import newest_about
from simulation.run.directory import RunDirectory
from simulation.run.forgotten import FILE, Request, read_requests, record_request
from simulation.run.kernel import for_reading
from simulation.run.lock import only_writer
from simulation.steps import steps_shown_on
from simulation.storage.deletion_log import Deletion, record_deletion
from simulation.studies.forgetting.forecast import forecast_of, no_room_for, print_after, print_forecast
from simulation.studies.phone_story.finding import NOBODY, find_phone
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
    # Nobody is kept because a machine lacks a kernel: what is trained anew is on record with the one that is there.
    config = for_reading(replace(settled(read_config(root / "config.toml")), output_dir=root))
    import_tensorflow_quietly()
    with steps_shown_on(out), step("preparing text, vocabulary and fleet"):
        accepted = accept_input(config, resume=True)
        named = _named(names, accepted, root)
        new = np.setdiff1d(named, accepted.forgotten.phones)
        request = Request.of(accepted.digests[new]) if len(new) else None
        forecast = forecast_of(config, root, request)
    print_forecast(out, root, forecast)
    if dry_run:
        return True
    if request is not None and forecast.above_budget and not ends_early:
        raise ConfigError(expected(root, *no_room_for(forecast)))
    if request is not None and forecast.no_room is not None:
        raise forecast.no_room
    if request is not None:
        with only_writer(root):
            if read_requests(root) != accepted.forgotten.requests:  # what it takes is another by now
                found = "another one: somebody has forgotten phones meanwhile; call this again"
                raise ConfigError(expected(root / FILE, "the record that the above was worked out by", found))
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
