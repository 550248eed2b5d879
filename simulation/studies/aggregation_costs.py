"""What it costs that the server sees no single update: seconds and bytes per phone, by scheme, measured.

A cell of the table is one model, one cohort and one scheme. Updates are made (normal, clipped, in fixed point),
protected one phone after another, added up and opened; the sum is held to the plain one, bit by bit or by its largest
error. Seconds are of the processor, of one thread of this machine; bytes are lengths of what is sent.

* plain: float32 weights up and down, as the simulated fleet counts them; the server adds fixed-point numbers.
* secagg: `server_strategy.aggregation.measuring`, masks that cancel in the sum, in the ring and of the vector that a
  run with so many phones has; the bytes of all messages, and the seconds of all steps of a phone. secagg16: modulo
  2^16, of a vector as long as the next power of two, which is what phones send that add the noise themselves. Opening
  is the server's, for a round that nobody leaves.
  That the sum is exact is shown by a whole round of the first coordinates, for up to 64 phones.
* The server's memory under these: what is allocated while all vectors of the cohort are added up.
* bfv, ckks: `server_strategy.aggregation.homomorphic`, one key pair, a key holder apart. Up go the ciphertexts; down
  the model and the public key. Opening is the key holder's decryption, once a round.
"""

import itertools
import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Literal, NamedTuple, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from client_model.config import ModelConfig
from client_model.keyed_random import generator
from client_model.learning.language_model import model_shape
from server_strategy.aggregation import homomorphic
from server_strategy.aggregation.encryption_parameters import (
    LARGEST,
    EncryptionParameters,
    bfv_parameters,
    ckks_parameters,
)
from server_strategy.aggregation.graph import USUAL_ASSUMPTIONS, GraphSize, graph_size
from server_strategy.aggregation.keys import RunSecret
from server_strategy.aggregation.masks import Ring
from server_strategy.aggregation.measuring import measure
from server_strategy.aggregation.round import play_round
from server_strategy.aggregation.vector import TAIL, ring_for
from server_strategy.update_sum import FixedPointSum
from simulation.studies.aggregation_memory import kept_messages_mb, summing_peak_mb
from typefleet.steps import step

Preset = Literal["small", "large", "gboard"]
SchemeName = Literal["plain", "secagg", "secagg16", "bfv", "ckks"]
SCHEMES: tuple[SchemeName, ...] = get_args(SchemeName)
LABELS = {"plain": "plain", "secagg": "secagg", "secagg16": "secagg 16 bits", "bfv": "BFV", "ckks": "CKKS"}
_MASKED = ("secagg", "secagg16")
_REPETITIONS = 3  # times that the sum is opened, and a masked round is measured
_WHOLE_ROUND = 64  # phones, at most, of a round that is played whole
_FIRST = 1000  # coordinates that it adds up
_MEGA = 1e6

T = TypeVar("T")


class Spread(NamedTuple):
    """Seconds of several repetitions."""

    median: float
    low: float
    high: float
    number: int


@dataclass(frozen=True, kw_only=True)
class Cost:
    """A row: one scheme for one model and one cohort. Without figures it says why."""

    preset: str
    weights: int
    phones: int
    scheme: str
    played: int = 0  # phones of the cohort that did it here
    protect_s: Spread | None = None  # on a phone, before it uploads
    add_s: Spread | None = None  # on the server, per phone
    open_s: Spread | None = None  # of whoever reads the sum, once a round
    upload_mb: float | None = None  # per phone and round
    download_mb: float | None = None
    summing_peak_mb: float | None = None  # of the server, while it adds up the vectors, see `aggregation_memory`
    kept_messages_mb: float | None = None  # of all phones, that the server has beside it
    is_exact: bool | None = None  # the sum has the bits of the plain one
    error: float | None = None  # the largest of a coordinate, as a share of the clip norm
    error_bound: float | None = None  # as stated by the parameters, for the whole cohort
    parameters: str = ""
    why: str = ""  # there are no figures


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is measured.

    Attributes:
        presets: models.
        cohorts: phones that one sum has to hold.
        schemes: that are compared.
        played: phones of each cohort that protect an update here, at most.
        tolerance: error of ckks, at most, as a share of the clip norm.
        seed: of the updates.
    """

    presets: Sequence[Preset] = ("small", "gboard")
    cohorts: Sequence[int] = (8, 64)
    schemes: Sequence[SchemeName] = SCHEMES
    played: int = 16
    tolerance: float = 2.0**-24
    seed: int = 0


@dataclass
class Stopwatch:
    """Processor seconds of what is done several times."""

    seconds: list[float] = field(default_factory=list)

    def timed(self, do: Callable[[], T]) -> T:
        """Do it and keep how long it took."""
        began = time.process_time()
        done = do()
        self.seconds.append(time.process_time() - began)
        return done

    def spread(self) -> Spread:
        """Of all times."""
        return Spread(median(self.seconds), min(self.seconds), max(self.seconds), len(self.seconds))


@dataclass(frozen=True)
class _Cell:
    """A model and a cohort."""

    preset: Preset
    phones: int
    plan: Plan
    weights: int

    @property
    def played(self) -> int:
        return min(self.phones, self.plan.played)

    @property
    def model_mb(self) -> float:
        return 4 * self.weights / _MEGA

    def updates(self) -> Iterator[NDArray[np.int64]]:
        """int64 [weights] in fixed-point steps: clipped updates of the phones that are played."""
        for phone in range(self.played):
            own = FixedPointSum(self.weights, clip_norm=1.0)
            rng = generator(self.plan.seed, "update to price", phone)
            own.add(rng.standard_normal(self.weights, np.float32))
            yield own.values

    def cost(self, scheme: SchemeName, **found: Any) -> Cost:
        return Cost(preset=self.preset, weights=self.weights, phones=self.phones, scheme=scheme, **found)


def measure_costs(plan: Plan) -> list[Cost]:
    """Every cell of the table, model by model and cohort by cohort.

    Args:
        plan: what is measured.

    Returns:
        A row per cell; one without figures where what it takes is not installed.

    Raises:
        ConfigError: no secure parameters hold the sum, or nothing that was asked for can be measured.
    """
    cells = [
        _Cell(preset, phones, plan, model_shape(ModelConfig(preset=preset)).num_weights)
        for preset in plan.presets
        for phones in plan.cohorts
    ]
    parameters = {(cell, name): _parameters(cell, name) for cell in cells for name in plan.schemes}  # refused early
    missing = "" if homomorphic.is_installed() else f"TenSEAL is not installed: {homomorphic.INSTALL}"
    if missing and set(plan.schemes) <= {"bfv", "ckks"}:
        homomorphic.version()  # raises what a caller who wants nothing else has to read
    costs = []
    with step("pricing", len(parameters)) as pricing:
        for done, ((cell, name), chosen) in enumerate(parameters.items()):
            pricing.reached(done, f"{cell.preset}, {cell.phones} phones, {LABELS[name]}")
            if chosen is None:
                costs.append(_plain(cell))
            elif isinstance(chosen, GraphSize):
                costs.append(_masked(cell, name, chosen))
            elif missing:
                costs.append(cell.cost(name, why=missing, parameters=described(chosen)))
            else:
                costs.append(_encrypted(cell, chosen))
        pricing.reached(len(parameters))
    return costs


def _parameters(cell: _Cell, scheme: SchemeName) -> EncryptionParameters | GraphSize | None:
    if scheme in _MASKED:
        return graph_size(cell.phones, USUAL_ASSUMPTIONS)
    if scheme == "bfv":
        return bfv_parameters(cell.phones)
    return ckks_parameters(cell.phones, tolerance=cell.plan.tolerance) if scheme == "ckks" else None


def described(parameters: EncryptionParameters) -> str:
    """The parameters in one line: ring, moduli, and what a ciphertext holds.

    Args:
        parameters: of a scheme.
    """
    bits = "+".join(map(str, parameters.prime_bits))
    text = f"N {parameters.ring_degree}, q {bits} bits"
    if parameters.scheme == "ckks":
        return f"{text}, scale {parameters.scale_bits} bits"
    return f"{text}, t {'+'.join(str(modulus.bit_length()) for modulus in parameters.plain_moduli)} bits"


def _plain(cell: _Cell) -> Cost:
    adding = Stopwatch()
    total = np.zeros(cell.weights, np.int64)
    for update in cell.updates():
        adding.timed(lambda own=update: np.add(total, own, out=total))  # type: ignore[misc]
    return cell.cost(
        "plain",
        played=cell.played,
        add_s=adding.spread(),
        upload_mb=cell.model_mb,
        download_mb=cell.model_mb,
        summing_peak_mb=summing_peak_mb(cell.phones, cell.weights, told=True),
        is_exact=True,
    )


def _masked(cell: _Cell, scheme: SchemeName, size: GraphSize) -> Cost:
    adding = Stopwatch()
    if scheme == "secagg":
        ring, length = ring_for(cell.phones), cell.weights + TAIL
    else:
        ring, length = Ring(16), 1 << (cell.weights - 1).bit_length()
    every = [measure(cell.phones, length, ring, sample=1) for _ in range(_REPETITIONS)]
    total, words = ring.zeros(length), ring.zeros(length)
    for _ in every:
        adding.timed(lambda: np.add(total, words, out=total))
    protecting = [sum(one.phone.seconds.values()) for one in every]
    opening = [cell.phones * one.survivor_s for one in every]
    return cell.cost(
        scheme,
        played=1,
        protect_s=Stopwatch(protecting).spread(),
        add_s=adding.spread(),
        open_s=Stopwatch(opening).spread(),
        upload_mb=sum(every[0].phone.up_bytes.values()) / _MEGA,
        download_mb=cell.model_mb + sum(every[0].phone.down_bytes.values()) / _MEGA,
        summing_peak_mb=summing_peak_mb(cell.phones, length, told=False),
        kept_messages_mb=kept_messages_mb(every[0], cell.phones),
        is_exact=_masks_cancel(cell, ring) if cell.phones <= _WHOLE_ROUND else None,
        parameters=f"{size.neighbours} neighbours, threshold {size.threshold}, ring {ring.bits} bits",
    )


def _masks_cancel(cell: _Cell, ring: Ring) -> bool:
    """Whether a whole round of the first coordinates adds up to the plain sum."""
    updates = itertools.islice(itertools.cycle(cell.updates()), cell.phones)
    largest = min(ring.largest // cell.phones, LARGEST)
    vectors = {phone: np.clip(update[:_FIRST], -largest, largest) for phone, update in enumerate(updates)}
    played = play_round(vectors, RunSecret.fresh(), ring=ring)
    return played.sum is not None and bool(np.array_equal(played.sum, sum(vectors.values())))


def _encrypted(cell: _Cell, parameters: EncryptionParameters) -> Cost:
    holder = homomorphic.KeyHolder(parameters)
    phone = homomorphic.Encryptor(parameters, holder.public)
    server = homomorphic.EncryptedSum(parameters, holder.public)
    protecting, adding, opening = Stopwatch(), Stopwatch(), Stopwatch()
    total, sent = np.zeros(cell.weights, np.int64), []
    for update in cell.updates():
        total += update
        ciphertexts = protecting.timed(lambda own=update: phone.encrypt(own))  # type: ignore[misc]
        sent.append(sum(len(block) for limb in ciphertexts for block in limb))
        adding.timed(lambda own=ciphertexts: server.add(own))  # type: ignore[misc]
    encrypted = server.total()
    opened = [opening.timed(lambda: holder.decrypt(encrypted, cell.weights)) for _ in range(_REPETITIONS)][-1]
    is_exact = bool(np.array_equal(opened, total))
    return cell.cost(
        parameters.scheme,
        played=cell.played,
        protect_s=protecting.spread(),
        add_s=adding.spread(),
        open_s=opening.spread(),
        upload_mb=median(sent) / _MEGA,
        download_mb=cell.model_mb + sum(map(len, holder.public)) / _MEGA,
        is_exact=is_exact,
        error=0.0 if is_exact else float(np.abs(opened - total).max()) / LARGEST,
        error_bound=parameters.error_bound,
        parameters=described(parameters),
    )


def machine_facts() -> dict[str, Any]:
    """On what was measured: processor, load, releases; nothing that names the machine."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load_1_min": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "tenseal": homomorphic.version() if homomorphic.is_installed() else None,
        "threads": 1,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
