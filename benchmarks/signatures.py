"""What a signature of a release takes, by each algorithm: python -m benchmarks.signatures

Makes a key for both, signs a text as long as that of a release and verifies it, so often, and prints medians of
processor time with the sizes of keys and signatures. ML-DSA-65 needs the extra pqcrypto. Takes seconds.
"""

import secrets
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import annotated_types as at

from simulation.flags import parse_with_tyro, run_door
from simulation.tables import console_for, print_table
from typefleet.signing.algorithms import ED25519, ML_DSA_65, PrivateKey, PublicKey, has_ml_dsa, new_key, sign, verify

_TEXT_BYTES = 1200  # of a release with seven files


@dataclass(frozen=True)
class Flags:
    """Measure what signing a release takes."""

    times: Annotated[int, at.Ge(3)] = 200
    """How often each is done."""


def median_ms(work: Callable[[], object], times: int) -> tuple[float, float]:
    """(median, longest) processor time of a piece of work, in ms.

    Args:
        work: what is done; once more, before, to warm up.
        times: how often.
    """
    work()
    found = []
    for _ in range(times):
        began = time.process_time()
        work()
        found.append(1000 * (time.process_time() - began))
    return statistics.median(found), max(found)


def row_of(name: str, key: PrivateKey, times: int) -> list[str]:
    """A row of the table: algorithm, sizes in bytes, times in ms."""
    text = secrets.token_bytes(_TEXT_BYTES)
    made = sign(key, text)
    signing = median_ms(lambda: sign(key, text), times)
    verifying = median_ms(lambda: verify(key.public, text, made, "here"), times)
    public, size = sum(map(len, _parts(key.public))), sum(map(len, made.values()))
    sizes = (f"{public:,}", f"{sum(map(len, _parts(key))):,}", f"{size:,}")
    return [name, *sizes, f"{signing[0]:.2f}", f"{signing[1]:.2f}", f"{verifying[0]:.2f}"]


def _parts(key: PublicKey | PrivateKey) -> list[bytes]:
    return [one for one in (key.ed25519, key.ml_dsa_65) if one is not None]


def main(argv: Sequence[str]) -> None:
    """Measure and print."""
    flags = parse_with_tyro(Flags, argv)
    key = new_key(hybrid=has_ml_dsa())
    alone = PrivateKey(replace(key.public, ml_dsa_65=None), key.ed25519)
    rows = [row_of(ED25519, alone, flags.times)]
    if has_ml_dsa():
        rows.append(row_of(f"{ED25519} and {ML_DSA_65}", key, flags.times))
    headings = (
        "",
        "public\nkey, B",
        "private\nkey, B",
        "signature,\nB",
        "sign,\nms",
        "sign at\nmost, ms",
        "verify,\nms",
    )
    print_table(console_for(sys.stdout), headings, rows)
    if not has_ml_dsa():
        print(f"{ML_DSA_65} was not measured: pip install 'typefleet[pqcrypto]'")


if __name__ == "__main__":
    sys.exit(run_door(lambda: main(sys.argv[1:])))
