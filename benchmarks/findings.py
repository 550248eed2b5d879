"""From what was measured to figures."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from benchmarks.figures import Figure
from benchmarks.machine import BUSY_CORES
from benchmarks.workload import SENTENCES, TOKENS


class Figures:
    """Makes the figures of one benchmark.

    Args:
        found: what `Benchmark.run` returns, or the content of a file.
    """

    def __init__(self, found: Mapping[str, Any]) -> None:
        self._measured: Mapping[str, list[dict[str, Any]]] = found["measured"]
        self._others: Mapping[str, float] = found["others_cores"]
        self._busy_at_start = found["load_at_start"] > BUSY_CORES

    def all(self) -> list[Figure]:
        """Those that the measurements allow."""
        parts = (self._cells(), self._start_up(), self._simulation(), self._small(), self._memory(), self._fleets())
        return [figure for part in parts for figure in part]

    def _figure(self, of: str, group: str, name: str, unit: str, values: Sequence[float], **more: Any) -> Figure:
        """One of the measurement `of`."""
        is_loaded = self._busy_at_start or self._others[of] > BUSY_CORES
        return Figure(group, name, unit, tuple(map(float, values)), is_loaded=is_loaded, **more)

    def _column(self, of: str, key: str) -> list[Any]:
        """What each repetition has under a key."""
        return [one[key] for one in self._measured[of]]

    def _cells(self) -> Iterator[Figure]:
        for cell in ("cifg", "lstm"):
            of = f"kernel {cell}"
            if of not in self._measured:
                continue
            rows = self._measured[of]
            group = f"{cell}, the kernel alone on one thread"
            of_limit = [row["kernel_tokens_per_s"] / row["limit_tokens_per_s"] for row in rows]
            of_products = [row["kernel_tokens_per_s"] / row["products_tokens_per_s"] for row in rows]
            times = [row["score_tokens_per_s"] / row["kernel_tokens_per_s"] for row in rows]
            scored_of_limit = [row["score_tokens_per_s"] / row["scoring_limit_tokens_per_s"] for row in rows]
            for name, unit, values in (
                ("operations of products, a token", "MFLOP", self._column(of, "mflop_per_token")),
                ("float32 product, one core", "GFLOP/s", [max(row["gemm_gflops"].values()) for row in rows]),
                ("memory stream, one core", "GB/s", [max(row["stream_gb_s"].values()) for row in rows]),
                ("softmax, a logit", "ns", [min(row["softmax_ns"].values()) for row in rows]),
                ("so the limit of a core", "tokens/s", self._column(of, "limit_tokens_per_s")),
                ("products alone, as the limit was before", "tokens/s", self._column(of, "products_tokens_per_s")),
                ("training", "tokens/s", self._column(of, "kernel_tokens_per_s")),
                ("  of the limit of a core", "share", of_limit),
                ("  of products alone", "share", of_products),
                ("scoring held-out text", "tokens/s", self._column(of, "score_tokens_per_s")),
                ("  of its own limit", "share", scored_of_limit),
            ):
                yield self._figure(of, group, name, unit, values)
            yield self._figure(of, group, "  of the training rate", "ratio", times, target=3.0)

    def _start_up(self) -> Iterator[Figure]:
        of, group = "start-up", "the default run, to the end of a small first round"
        cpu = [values[0] for values in self._column(of, "cpu_s_at_round")]
        before = [a - b for a, b in zip(self._column(of, "start_up_s"), self._scoring_first(), strict=True)]
        yield self._figure(of, group, "start-up: imports, Ray, text, fleet, tracing", "s", before, less_is_better=True)
        for name, values in (
            ("scoring the starting weights", self._scoring_first()),
            ("the first round", self._first_rounds()),
            ("all of it, wall time", self._column(of, "first_round_s")),
            ("all of it, processor time of all processes", cpu),
        ):
            yield self._figure(of, group, name, "s", values, less_is_better=True)

    def _scoring_first(self) -> list[float]:
        return self._column("start-up", "scoring_first_s")

    def _first_rounds(self) -> list[float]:
        ends, begins = (self._column("start-up", key) for key in ("first_round_s", "start_up_s"))
        return [end - begin for end, begin in zip(ends, begins, strict=True)]

    def _simulation(self) -> Iterator[Figure]:
        group = f"simulation, phones of {SENTENCES} x {TOKENS} tokens"
        both = self._column("two kernels", "tokens_per_s")
        yield self._figure("two kernels", group, "cifg, two kernels at once", "tokens/s", both)
        alone = median(self._column("kernel cifg", "kernel_tokens_per_s"))
        yield self._figure(
            "two kernels", group, "  of twice one alone", "ratio", [value / (2 * alone) for value in both]
        )
        for of in self._measured:
            word, *cell_and_workers = of.split()
            if word == "simulation":
                yield from self._one_simulation(of, group, cell_and_workers[0], int(cell_and_workers[1]))
            elif word == "scoring":
                yield from self._scoring(of, group)
            elif word == "textbook":
                yield from self._textbook(of, group, cell_and_workers[0])

    def _one_simulation(self, of: str, group: str, cell: str, workers: int) -> Iterator[Figure]:
        (found,), name = self._measured[of], f"{cell}, {workers} {'worker' if workers == 1 else 'workers'}"
        rates = found["tokens_per_s"]
        yield self._figure(of, group, f"{name}: training", "tokens/s", rates)
        kernel = self._measured.get(f"kernel {cell}")
        if kernel is not None:
            cores = {1: "of the limit of a core", 2: "of the limit of two cores"}[workers]
            limit, products, alone = (
                workers * median(row[key] for row in kernel)
                for key in ("limit_tokens_per_s", "products_tokens_per_s", "kernel_tokens_per_s")
            )
            yield self._figure(of, group, f"  {name}, {cores}", "share", [rate / limit for rate in rates])
            is_goal = (cell, workers) == ("cifg", 2)
            shares = [rate / products for rate in rates]
            target = 0.58 if is_goal else None
            yield self._figure(of, group, f"  {name}, of products alone", "share", shares, target=target)
            times, target = [rate / alone for rate in rates], 0.92 if is_goal else None
            yield self._figure(of, group, f"  {name}, of as many kernels alone", "ratio", times, target=target)
        if cell == "cifg" and workers == 2:
            both = median(self._column("two kernels", "tokens_per_s"))
            yield self._figure(of, group, f"  {name}, of two kernels at once", "ratio", [r / both for r in rates])
        cpu, target = found["cpu_s_a_phone"], 0.45 if cell == "lstm" else None
        yield self._figure(of, group, f"  {name}, processor time a phone", "s", cpu, target=target, less_is_better=True)

    def _scoring(self, of: str, group: str) -> Iterator[Figure]:
        (found,), name = self._measured[of], "cifg, 2 workers: scoring held-out text"
        yield self._figure(of, group, name, "tokens/s", found["tokens_per_s"])
        alone = 2 * median(self._column("kernel cifg", "score_tokens_per_s"))
        times = [rate / alone for rate in found["tokens_per_s"]]
        yield self._figure(of, group, "  scoring, of as many kernels alone", "ratio", times)

    def _textbook(self, of: str, group: str, cell: str) -> Iterator[Figure]:
        (found,) = self._measured[of]
        cpu = found["cpu_s_a_phone"]
        yield self._figure(
            of, group, f"{cell}, the textbook way: processor time a phone", "s", cpu, less_is_better=True
        )
        ours = self._measured.get(f"simulation {cell} 2")
        if ours is not None:
            times = [value / median(ours[0]["cpu_s_a_phone"]) for value in cpu]
            yield self._figure(of, group, f"  {cell}, of ours", "ratio", times, target=5.0)

    def _small(self) -> Iterator[Figure]:
        if "tiny" not in self._measured:
            return
        group, (found,) = "phones of one word", self._measured["tiny"]
        whole = [1e3 * value for value in found["cpu_s_a_phone"]]
        kernel = [1e3 * value for value in self._column("kernel cifg", "tiny_phone_s")]
        yield self._figure("tiny", group, "processor time a phone, all processes", "ms", whole, less_is_better=True)
        yield self._figure("kernel cifg", group, "of it training (kernel alone)", "ms", kernel, less_is_better=True)
        own = [value - median(kernel) for value in whole]
        yield self._figure("tiny", group, "the engine's own cost a phone", "ms", own, target=5.0, less_is_better=True)

    def _memory(self) -> Iterator[Figure]:
        for who in ("driver", "worker"):
            key = f"{who}_peak_rss_bytes"
            if "50 rounds" in self._measured:
                peaks = [r["profile"][key] / 1e9 for r in self._measured["50 rounds"][0]["rounds"]]
                # A peak never falls: it moves with the two or three sums of 11 MB that happen to be under way, and
                # until the blocks that the C library keeps are there.
                name, grown = f"{who}'s peak, growth from round 20 to 50", peaks[49] - peaks[19]
                yield self._figure("50 rounds", "memory", name, "GB", [grown], target=0.03, less_is_better=True)
            if "5,000 phones" in self._measured:
                peak = max(r["profile"][key] for r in self._measured["5,000 phones"][0]["rounds"]) / 1e9
                name = f"{who}'s peak in a round of 5,000 phones"
                yield self._figure("5,000 phones", "memory", name, "GB", [peak], target=1.2, less_is_better=True)

    def _fleets(self) -> Iterator[Figure]:
        for of in self._measured:
            if not of.startswith("fleet "):
                continue
            phones = int(of.removeprefix("fleet "))
            group, held = f"fleet of {phones:,}", phones == 1_000_000  # which the targets are for
            for name, unit, key, scale, target in (
                ("ready", "s", "ready_s", 1.0, 15.0),
                ("memory", "GB", "peak_rss_bytes", 1e-9, 1.0),
                ("slowest check-in query", "ms", "check_in_slowest_s", 1e3, 50.0),
            ):
                values = [scale * value for value in self._column(of, key)]
                goal = target if held else None
                yield self._figure(of, group, name, unit, values, target=goal, less_is_better=True)
            if "dry_run_rounds_per_s" in self._measured[of][0]:
                rates, goal = self._column(of, "dry_run_rounds_per_s"), 50.0 if held else None
                yield self._figure(of, group, "dry run, goal 500", "rounds/s", rates, target=goal)
