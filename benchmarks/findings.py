"""From what was measured to figures."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from benchmarks.figures import Figure
from benchmarks.machine import BUSY_CORES
from benchmarks.roofline import least_seconds
from benchmarks.workload import SENTENCES, TOKENS

MUSTS: Mapping[tuple[str, str], float] = {  # by measurement and name of the figure
    ("kernel cifg", "of the limit of a core"): 0.75,
    ("kernel cifg", "scoring, of the training rate"): 3.0,
    ("kernel lstm", "scoring, of the training rate"): 3.0,
    ("start-up", "before the first round"): 8.0,
    ("simulation cifg 2", "cifg: of the limit of two cores"): 0.65,
    ("simulation cifg 2", "cifg, 2: of two kernels at once"): 0.95,
    ("simulation cifg 2", "cifg, 2: phone in a host / alone"): 1.03,
    ("simulation lstm 2", "lstm, 2: worker seconds a phone"): 0.24,
    ("textbook cifg", "cifg, textbook: times ours"): 5.0,
    ("textbook lstm", "lstm, textbook: times ours"): 5.0,
    ("default run", "from the command to the table"): 73.5,  # half of what it once took
    ("default run", "recall, first suggestion"): 0.199,  # of this seed: 20.15 +- 0.1 % over noise, less two deviations
    ("tiny", "the engine's own"): 5.0,
    ("50 rounds", "driver's growth, rounds 20-49"): 0.03,
    ("50 rounds", "worker's growth, rounds 20-49"): 0.03,
    ("5,000 phones", "driver's peak, 5,000 phones"): 1.2,
    ("5,000 phones", "worker's peak, 5,000 phones"): 1.2,
    ("fleet 1000000", "ready"): 4.0,
    ("fleet 1000000", "memory"): 1.0,
    ("fleet 1000000", "slowest check-in query"): 50.0,
    ("fleet 1000000", "dry run, goal 500"): 400.0,
    ("fleet 10000000", "ready"): 40.0,
    ("fleet 10000000", "memory"): 6.0,
}
_FAR = ("copy", "add")  # of vectors that no cache holds


class Figures:
    """Makes the figures of one benchmark.

    Args:
        found: what `Benchmark.run` returns, or the content of a file.
    """

    def __init__(self, found: Mapping[str, Any]) -> None:
        self._measured: Mapping[str, list[dict[str, Any]]] = found["measured"]
        self._others: Mapping[str, float] = found["others_cores"]
        self._busy_at_start = found["load_at_start"] > BUSY_CORES
        self._musts = {} if found["sizes"] == "smoke" else MUSTS  # of a measurement too small to be judged

    def all(self) -> list[Figure]:
        """Those that the measurements allow."""
        parts = (self._cells(), self._start_up(), self._simulation(), self._default_run(), self._small())
        return [figure for part in (*parts, self._memory(), self._fleets()) for figure in part]

    def kernels(self) -> dict[str, str]:
        """Which kernel each cell was measured with; earlier versions had TensorFlow's alone."""
        cells = [of.removeprefix("kernel ") for of in self._measured if of.startswith("kernel ")]
        return {cell: self._measured[f"kernel {cell}"][0].get("kernel", "tensorflow") for cell in cells}

    def _figure(self, of: str, group: str, name: str, unit: str, values: Sequence[float], **more: Any) -> Figure:
        """One of the measurement `of`."""
        is_loaded = self._busy_at_start or self._others[of] > BUSY_CORES
        target = self._musts.get((of, name.strip()))
        return Figure(group, name, unit, tuple(map(float, values)), target, is_loaded=is_loaded, **more)

    def _column(self, of: str, key: str) -> list[Any]:
        """What each repetition has under a key."""
        return [one[key] for one in self._measured[of]]

    def _cells(self) -> Iterator[Figure]:
        for cell in ("cifg", "lstm"):
            of = f"kernel {cell}"
            if of not in self._measured:
                continue
            rows = self._measured[of]
            group = f"{cell}, kernel alone, 1 thread"
            limits = [_limit(row) for row in rows]
            of_limit = [row["kernel_tokens_per_s"] / limit for row, limit in zip(rows, limits, strict=True)]
            of_products = [row["kernel_tokens_per_s"] / row["products_tokens_per_s"] for row in rows]
            times = [row["score_tokens_per_s"] / row["kernel_tokens_per_s"] for row in rows]
            scored_of_limit = [row["score_tokens_per_s"] / row["scoring_limit_tokens_per_s"] for row in rows]
            for name, unit, values in (
                ("products, operations a token", "MFLOP", self._column(of, "mflop_per_token")),
                ("float32 product, one core", "GFLOP/s", [max(row["gemm_gflops"].values()) for row in rows]),
                ("memory stream, one core", "GB/s", [max(map(row["stream_gb_s"].get, _FAR)) for row in rows]),
                ("softmax, a logit", "ns", [min(row["softmax_ns"].values()) for row in rows]),
                ("so the limit of a core", "tokens/s", limits),
                ("products alone, older limit", "tokens/s", self._column(of, "products_tokens_per_s")),
                ("training", "tokens/s", self._column(of, "kernel_tokens_per_s")),
                ("  of the limit of a core", "share", of_limit),
                ("  of products alone", "share", of_products),
                ("scoring held-out text", "tokens/s", self._column(of, "score_tokens_per_s")),
                ("  of its own limit", "share", scored_of_limit),
                ("  scoring, of the training rate", "ratio", times),
                *_beside_tensorflow(rows),
            ):
                yield self._figure(of, group, name, unit, values)

    def _start_up(self) -> Iterator[Figure]:
        of, group = "start-up", "default run, small first round"
        cpu = [values[0] for values in self._column(of, "cpu_s_at_round")]
        before = [a - b for a, b in zip(self._column(of, "start_up_s"), self._scoring_first(), strict=True)]
        yield self._figure(of, group, "start-up, to the first scoring", "s", before, less_is_better=True)
        for name, values in (
            ("scoring the starting weights", self._scoring_first()),
            ("before the first round", self._column(of, "start_up_s")),
            ("the first round", self._first_rounds()),
            ("all of it", self._column(of, "first_round_s")),
            ("all of it, processor time", cpu),
        ):
            yield self._figure(of, group, name, "s", values, less_is_better=True)

    def _scoring_first(self) -> list[float]:
        return self._column("start-up", "scoring_first_s")

    def _first_rounds(self) -> list[float]:
        ends, begins = (self._column("start-up", key) for key in ("first_round_s", "start_up_s"))
        return [end - begin for end, begin in zip(ends, begins, strict=True)]

    def _simulation(self) -> Iterator[Figure]:
        group = f"phones of {SENTENCES} x {TOKENS} tokens"
        both = self._column("two kernels", "tokens_per_s")
        yield self._figure("two kernels", group, "cifg, two kernels at once", "tokens/s", both)
        alone = _beside(both, self._column("kernel cifg", "kernel_tokens_per_s"))
        of_twice = [value / (2 * one) for value, one in zip(both, alone, strict=True)]
        yield self._figure("two kernels", group, "  of twice one alone", "ratio", of_twice)
        for of in self._measured:
            word, *cell_and_workers = of.split()
            if word == "simulation":
                yield from self._one_simulation(of, group, cell_and_workers[0], int(cell_and_workers[1]))
            elif word == "scoring":
                yield from self._scoring(of, group)
            elif word == "textbook":
                yield from self._textbook(of, group, cell_and_workers[0])

    def _one_simulation(self, of: str, group: str, cell: str, workers: int) -> Iterator[Figure]:
        rows, name = self._measured[of], f"{cell}, {workers} {'worker' if workers == 1 else 'workers'}"
        rates, short = [rate for row in rows for rate in row["tokens_per_s"]], f"{cell}, {workers}"
        yield self._figure(of, group, f"{name}: training", "tokens/s", rates)
        kernel = self._measured.get(f"kernel {cell}")
        if kernel is not None:
            cores = {1: "of the limit of a core", 2: "of the limit of two cores"}[workers]
            limits = _beside(rows, [workers * _limit(row) for row in kernel])
            products, alone = (
                _beside(rows, [workers * row[key] for row in kernel])
                for key in ("products_tokens_per_s", "kernel_tokens_per_s")
            )
            in_hosts = [
                times
                for row, of_all in zip(rows, alone, strict=True)
                for times in _times_in_hosts(row, of_all / workers)
            ]
            yield self._figure(of, group, f"  {cell}: {cores}", "share", _shares(rows, limits))
            for name_of_share, unit, values in (
                (f"  {short}: of products alone", "share", _shares(rows, products)),
                (f"  {short}: of kernels alone", "ratio", _shares(rows, alone)),
                (f"  {short}: phone in a host / alone", "ratio", in_hosts),
            ):
                yield self._figure(of, group, name_of_share, unit, values, less_is_better="host" in name_of_share)
        if cell == "cifg" and workers == 2:
            both = _beside(rows, self._column("two kernels", "tokens_per_s"))
            yield self._figure(of, group, f"  {short}: of two kernels at once", "ratio", _shares(rows, both))
        workers_s = [workers * SENTENCES * TOKENS / rate for rate in rates]
        for name_of_time, values in (
            ("worker seconds a phone", workers_s),
            ("processor time", [value for row in rows for value in row["cpu_s_a_phone"]]),
        ):
            yield self._figure(of, group, f"  {short}: {name_of_time}", "s", values, less_is_better=True)

    def _scoring(self, of: str, group: str) -> Iterator[Figure]:
        (found,), name = self._measured[of], "cifg, 2 workers: scoring"
        yield self._figure(of, group, name, "tokens/s", found["tokens_per_s"])
        alone = 2 * median(self._column("kernel cifg", "score_tokens_per_s"))
        times = [rate / alone for rate in found["tokens_per_s"]]
        yield self._figure(of, group, "  scoring: of kernels alone", "ratio", times)

    def _textbook(self, of: str, group: str, cell: str) -> Iterator[Figure]:
        (found,) = self._measured[of]
        cpu = found["cpu_s_a_phone"]
        yield self._figure(of, group, f"{cell}, textbook: processor time", "s", cpu, less_is_better=True)
        ours = self._measured.get(f"simulation {cell} 2")
        if ours is not None:
            own = median(value for row in ours for value in row["cpu_s_a_phone"])
            times = [value / own for value in cpu]
            yield self._figure(of, group, f"  {cell}, textbook: times ours", "ratio", times)

    def _default_run(self) -> Iterator[Figure]:
        of, group = "default run", "default run, whole"
        if of not in self._measured:
            return
        whole = self._column(of, "whole_s")
        yield self._figure(of, group, "from the command to the table", "s", whole, less_is_better=True)
        if all(value is not None for value in self._column(of, "recall")):
            yield self._figure(of, group, "recall, first suggestion", "share", self._column(of, "recall"))

    def _small(self) -> Iterator[Figure]:
        if "tiny" not in self._measured:
            return
        (found,) = self._measured["tiny"]
        phones = max(record["reports"] for record in found["rounds"])  # share what a message costs
        group = f"{phones:,} phones of one word"
        whole = [1e3 * value for value in found["cpu_s_a_phone"]]
        kernel = [1e3 * value for value in self._column("kernel cifg", "tiny_phone_s")]
        yield self._figure("tiny", group, "processor time a phone", "ms", whole, less_is_better=True)
        yield self._figure("kernel cifg", group, "of it training", "ms", kernel, less_is_better=True)
        own = [value - median(kernel) for value in whole]
        yield self._figure("tiny", group, "the engine's own", "ms", own, less_is_better=True)

    def _memory(self) -> Iterator[Figure]:
        for who in ("driver", "worker"):
            key = f"{who}_peak_rss_bytes"
            if "50 rounds" in self._measured:
                peaks = [r["profile"][key] / 1e9 for r in self._measured["50 rounds"][0]["rounds"]]
                # A peak never falls: it moves with the two or three sums of 11 MB that happen to be under way, and
                # until the blocks that the C library keeps are there.
                name, grown = f"{who}'s growth, rounds 20-49", peaks[48] - peaks[19]
                yield self._figure("50 rounds", "memory", name, "GB", [grown], less_is_better=True)
            if "5,000 phones" in self._measured:
                peak = max(r["profile"][key] for r in self._measured["5,000 phones"][0]["rounds"]) / 1e9
                name = f"{who}'s peak, 5,000 phones"
                yield self._figure("5,000 phones", "memory", name, "GB", [peak], less_is_better=True)

    def _fleets(self) -> Iterator[Figure]:
        for of in self._measured:
            if not of.startswith("fleet "):
                continue
            phones = int(of.removeprefix("fleet "))
            group = f"fleet of {phones:,}"
            for name, unit, key, scale in (
                ("ready", "s", "ready_s", 1.0),
                ("memory", "GB", "peak_rss_bytes", 1e-9),
                ("slowest check-in query", "ms", "check_in_slowest_s", 1e3),
            ):
                values = [scale * value for value in self._column(of, key)]
                yield self._figure(of, group, name, unit, values, less_is_better=True)
            if "dry_run_rounds_per_s" in self._measured[of][0]:
                rates = self._column(of, "dry_run_rounds_per_s")
                yield self._figure(of, group, "dry run, goal 500", "rounds/s", rates)


def _limit(row: Mapping[str, Any]) -> float:
    """Tokens a second of the roofline, also of a file whose version added its parts up."""
    parts = row.get("limit_us_per_token")
    return float(row["limit_tokens_per_s"]) if parts is None else 1e6 / least_seconds(parts)


def _beside_tensorflow(rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str, list[float]]]:
    """Name, unit and values of what TensorFlow's kernel comes to, where another one was measured."""
    if all("tensorflow_tokens_per_s" in row for row in rows):
        beside = [row["tensorflow_tokens_per_s"] for row in rows]
        yield "TensorFlow's kernel, training", "tokens/s", beside
        gains = [row["kernel_tokens_per_s"] / of_it for row, of_it in zip(rows, beside, strict=True)]
        yield "  native kernel, of TensorFlow's", "ratio", gains


def _beside(rows: Sequence[object], others: Sequence[float]) -> Sequence[float]:
    """For each row what was measured in the same repetition; where those were not in turns, the median for all."""
    return others if len(others) == len(rows) else [median(others)] * len(rows)


def _shares(rows: Sequence[Mapping[str, Any]], of_each: Sequence[float]) -> list[float]:
    """The rates of all rounds of all rows, each divided by the number of its row."""
    return [rate / whole for row, whole in zip(rows, of_each, strict=True) for rate in row["tokens_per_s"]]


def _times_in_hosts(found: Mapping[str, Any], alone: float) -> list[float]:
    """How many times as long a phone's training takes in a host, of each round but the first.

    Args:
        found: of a simulation.
        alone: tokens a second of the kernel alone.
    """
    rounds = found["rounds"][1:]
    return [r["profile"]["hosts_s"]["train"] / r["reports"] * alone / (SENTENCES * TOKENS) for r in rounds]
