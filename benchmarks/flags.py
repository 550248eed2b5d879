"""Flags of the benchmark, and what is refused of them before minutes of measuring."""

import errno
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from typefleet.errors import ConfigError, expected, unwritable

_OUTPUT = Path("benchmark.json")  # where no file is named


@dataclass(frozen=True)
class BenchmarkFlags:
    """Measure the simulator against the machine's limit and against the textbook way."""

    quick: bool = False
    """Fewer phones and rounds, no memory runs."""
    smoke: bool = False
    """Each kind of measurement once, so small that it only shows that it works: its figures mean nothing."""
    output: Path | None = None
    """File for all that was measured; benchmark.json unless another is named."""
    compare: Path | None = None
    """File of an earlier benchmark, whose figures are printed beside these."""
    measured: Path | None = None
    """File of a benchmark to show instead of measuring anything; nothing is written."""

    @property
    def results(self) -> Path:
        """Where all that was measured is written."""
        return self.output or _OUTPUT


def check_flags(flags: BenchmarkFlags) -> None:
    """Refuse flags without effect, and a file for the results that would replace another or cannot be written.

    Raises:
        ConfigError: names the flag.
    """
    if flags.measured is not None:
        if flags.quick or flags.smoke or flags.output is not None:
            raise ConfigError(expected("--measured", "at most --compare beside it", "a flag of measuring"))
        return
    if flags.quick and flags.smoke:
        raise ConfigError(expected("--smoke", "no --quick beside it", "both"))
    if flags.compare is not None and flags.compare.resolve() == flags.results.resolve():
        raise ConfigError(expected("--output", "another file than that of --compare", "the same"))
    try:
        if flags.results.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        with tempfile.TemporaryFile(dir=flags.results.parent):
            pass
    except OSError as error:
        raise ConfigError(unwritable(f"--output: {flags.results}", error)) from error
