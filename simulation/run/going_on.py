"""What a run goes on with from a checkpoint: the key of its noise, and whether what it repeats comes out the same.

A release on record that comes out bit for bit as it was is free; any other has noise of its own, and both are counted
(`server_strategy.releases`). A moved folder has another noise, and another kernel other last bits of each update.
"""

from pathlib import Path
from typing import Any

from server_strategy.privacy.noise_key import NoiseKey
from server_strategy.privacy.plan import PrivacyPlan
from simulation.engine.config import ALL
from simulation.run.checkpoint import (
    Checkpoint,
    numbered,
    part_of,
    save_checkpoint,
    totals_of,
    whole_checkpoint,
)
from simulation.run.directory import RunDirectory
from simulation.run.going_back import GoesOn, noise_of_new_life
from simulation.run.kernel import bits_that_train, kernel_that_trains
from simulation.run.lives import about_life, about_record, noise_life_of
from simulation.run.preparation import Prepared
from simulation.run.same_beginning import NOISE_HERE, noise_again

# In a checkpoint: what trained all that is on record after it, ever, and its bits; None: it may be more than one.
KERNEL, BITS = "kernel", "kernel_bits"

ELSEWHERE = (
    "is a copy of the folder in which the run began, or was moved to another disk or restored: it draws noise of its "
    "own from here on, and releases after its checkpoint that were made there count again"
)


def about_kernel(prepared: Prepared, *, behind: bool = False) -> dict[str, Any]:
    """What a checkpoint says of what trained.

    Args:
        prepared: what is settled.
        behind: whether releases of another kernel, of other bits, or with other noise, are on record after the
            checkpoint.
    """
    kernel, bits = kernel_that_trains(prepared.task), bits_that_train(prepared.task)
    return {KERNEL: None if behind else kernel, BITS: None if behind else bits}


def what_differs(stored: Checkpoint, prepared: Prepared) -> str | None:
    """Why what is on record after a checkpoint may not come out the same again, said of the folder; None: it does.

    Kernels of earlier versions, which name none in their checkpoints, had other last bits, and so may those of earlier
    builds have had, which do not say which.
    """
    about, here = stored.about, about_kernel(prepared)
    kernel = here[KERNEL]
    if all(about.get(name) == value for name, value in here.items()):
        return None
    if KERNEL not in about:
        return f"goes on with the kernel {kernel}, which has other last bits than an earlier version had"
    if about[KERNEL] is None:
        return (
            "has on record after its checkpoint, or may have, what another kernel, another build of it or a copy of "
            "the folder released"
        )
    if about[KERNEL] != kernel:
        return f"goes on with the kernel {kernel}, and not with the one before, so that updates have other last bits"
    if about.get(BITS) is None:
        return f"goes on with a build of the kernel {kernel} that may have other last bits than the one before"
    return f"goes on with another build of the kernel {kernel}, so that updates have other last bits"


def claim_no_more(folder: Path, number: int) -> None:
    """Let no checkpoint before `number` say that one kernel made all after it: what goes on now has other bits.

    That one, which is the newest and says by itself what it has, is to be written after them: where this is cut short,
    it has all done again. They are gone back to where it is damaged.

    Args:
        folder: of the checkpoints.
        number: of the one at which the run goes on.

    Raises:
        CheckpointError: the disk refused, or one holds something else.
    """
    for earlier, path in numbered(folder).items():
        stored = whole_checkpoint(path) if earlier < number else None
        if stored is not None and stored.about.get(KERNEL) is not None:
            save_checkpoint(folder, earlier, stored.state, {**stored.about, KERNEL: None}, ALL)


def counts_again(why: str, plan: PrivacyPlan) -> str:
    """What is said of a run that goes on where not all comes out the same, of the folder.

    Args:
        why: by `what_differs`.
        plan: of its privacy.
    """
    if plan.mechanism is None:
        return why
    then = "releases after its checkpoint count again, where they do not come out the same"
    if plan.phone_noise is not None:
        then = "rounds after its checkpoint that are on record are not released again, and count"
    return f"{why}: {then}"


def noise_from_here(
    prepared: Prepared, directory: RunDirectory, at: GoesOn, start_sha256: str | None
) -> tuple[NoiseKey, dict[str, str], bool]:
    """(the key of all noise from here on, what the run began with from now on, whether the key is another's).

    Args:
        prepared: what is settled.
        directory: of the run.
        at: where it goes on.
        start_sha256: of the starting weights, if it goes back to its beginning.
    """
    began, forgotten = part_of(at.stored, "began", dict), prepared.forgotten
    over, moved = totals_of(at.stored).is_over(prepared.config.rounds), False
    if at.is_new_life and not over:
        salt = part_of(at.stored, "salt", str)
        noise, began = noise_of_new_life(directory.root, prepared, began, start_sha256, salt=salt)
    else:
        noise = noise_again(prepared, directory, began, is_over=over)
        began = {**began, **about_life(forgotten.life, noise_life_of(began))} if at.is_new_life else began
    began = {**began, **about_record(forgotten.requests)}
    if noise.source == "secret" and prepared.plan.mechanism is not None and not over:
        moved = began.get(NOISE_HERE) != noise.check()
        began = {**began, NOISE_HERE: noise.check()}
    return noise, began, moved
