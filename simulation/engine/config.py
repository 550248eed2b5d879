"""Settings of the engine: how the work is done, never what comes out, but for its last bits (`kernel`, `device`)."""

import os
from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

from annotated_types import Ge, Gt

from client_model.config import WantedDevice, WantedKernel

SPACED: Literal["spaced"] = "spaced"
ALL: Literal["all"] = "all"
KeepCheckpoints: TypeAlias = Literal["spaced", "all"] | int


@dataclass(frozen=True)
class EngineConfig:
    """How the work is done; nothing here changes a result, but its last bits."""

    address: str | None = None
    """Join the Ray cluster at this address ("auto", or host:port) instead of starting Ray here; then
    every CPU of the cluster is a worker. Whoever reaches its ports runs code there: see docs/engine.md."""
    trust_network: bool = False
    """Join a cluster at an address that is not private, too."""
    workers: Annotated[int | None, Ge(1)] = None
    """Worker processes (Ray actors) on this machine, one thread each; by default one per core."""
    kernel: WantedKernel = "auto"
    """What trains and scores phones: native, compiled from C at installation where a C compiler is, faster, for cifg,
    stacked, gru and lstm; or tensorflow. auto: native where it is there, has the cell, and the processor multiplies and
    adds in one instruction. Updates differ by a relative 2e-6 (tests hold them to 1e-4), so the same seed gives other
    bits; a run is resumed with the kernel that it has, unless this names another: releases after its checkpoint are
    then made, and cost privacy, twice."""
    device: WantedDevice = "cpu"
    """Where phones are trained: on the processor one after another, or on a GPU many at once. "auto" takes a GPU if
    TensorFlow sees one on this machine. The last bits of a result depend on it, so a resumed run keeps it. GPUs are
    untried: see docs/speed.md."""
    phones_at_a_time: Annotated[int | None, Ge(1)] = None
    """Phones that are trained at once on a GPU, each with weights of its own; by default as many as fit into 2 GiB, up
    to 64. On the processor a number tries the same code, which is slower there than one phone after another. A resumed
    run keeps it."""
    devices_per_message: Annotated[int | None, Ge(1)] = None
    """Most phones in one Flower message; by default the round is split evenly over hosts, one message each for phones
    that may be added up, or up to four where they would have more than 50,000 tokens, and none of more than about a
    thousand phones."""
    hosts_per_worker: Annotated[int, Ge(1)] = 1
    """Flower nodes per worker; more gives smaller messages, which cost more, and even out the loads of workers that
    differ in pace, 100 at most."""
    checkpoint_every_rounds: Annotated[int, Ge(1)] = 5
    """Completed rounds from one checkpoint to the next; the last round always has one."""
    keep_checkpoints: Annotated[KeepCheckpoints, Ge(1)] = 3
    """Checkpoints to keep: a number of the newest; "spaced", older ones at growing distances as well, so that
    a phone can be forgotten without all rounds being played again (docs/forgetting.md); or "all"."""
    message_timeout_s: Annotated[float, Gt(0)] = 3600.0
    """So many seconds without any answer stop the run. After half of them a message without one goes to an idle worker
    as well, then to further ones; it is repeated after so many for each message in its worker's line, two per host."""
    profile: bool = False
    """Add to each line of rounds.jsonl where the round's time went."""
    export: bool = True
    """Write the files for phones at the end; scripts/export_model.py can do it later."""
    report: bool = True
    """Write report.html at the end; scripts/report.py can do it later."""

    @property
    def workers_here(self) -> int:
        """Worker processes on this machine; a file from another machine does not decide by that one's cores."""
        return self.workers or os.cpu_count() or 1
