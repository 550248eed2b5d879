"""The table of a benchmark: each figure beside its target, then where the time of a round went."""

from typing import Any, NamedTuple

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.workload import SENTENCES, TOKENS


class Row(NamedTuple):
    """One line of the table; without a target it is there to be compared with."""

    name: str
    measured: str
    target: str = ""
    met: bool | None = None


def _least(name: str, value: float, target: float, form: str = "{:.2f}", note: str = "") -> Row:
    return Row(name, form.format(value) + note, ">= " + form.format(target), value >= target)


def _most(name: str, value: float, target: float, form: str, note: str = "") -> Row:
    return Row(name, form.format(value) + note, "<= " + form.format(target), value <= target)


def rows(found: dict[str, Any]) -> list[Row]:
    """All lines that the measurements allow."""
    start_up = Row("start-up: from the command to the first round", f"{found['start-up']['first_round_s']:.1f} s")
    return [*_limits(found), start_up, *_simulation(found), *_engine(found), *_memory(found), *_fleets(found)]


def _limits(found: dict[str, Any]) -> list[Row]:
    lines = []
    for cell in ("cifg", "lstm"):
        k = found[f"kernel {cell}"]
        gemm = k["gemm_gflops"]
        lines += [
            Row(f"{cell}: {k['weights']:,} weights, operations a token", f"{k['mflop_per_token']:.2f} MFLOP"),
            Row(
                "  (a) float32 product, one core",
                f"{max(gemm.values()):.0f} GFLOP/s (TensorFlow {gemm['tensorflow']:.0f}, numpy {gemm['numpy']:.0f})",
            ),
            Row("      so the limit is", f"{k['limit_tokens_per_s']:,.0f} tokens/s a core"),
            Row(
                "  (b) kernel alone, 1 thread",
                f"{k['kernel_tokens_per_s']:,.0f} tokens/s, {k['kernel_tokens_per_s'] / k['limit_tokens_per_s']:.0%} "
                "of the limit",
            ),
            Row("      scoring held-out text", f"{k['score_tokens_per_s']:,.0f} tokens/s"),
        ]
    return lines


def _simulation(found: dict[str, Any]) -> list[Row]:
    kernel, two = found["kernel cifg"], found["simulation cifg 2"]
    limit, alone = 2 * kernel["limit_tokens_per_s"], 2 * kernel["kernel_tokens_per_s"]
    both, rate = found["two kernels"]["tokens_per_s"], two["tokens_per_s"]
    lines = [
        Row("cifg, two kernels at once", f"{both:,.0f} tokens/s, {both / alone:.2f} of twice one alone"),
        Row("  (c) simulation, 1 worker", f"{found['simulation cifg 1']['tokens_per_s']:,.0f} tokens/s"),
        Row("      simulation, 2 workers", f"{rate:,.0f} tokens/s"),
        Row("      without the first round", f"{two['tokens_per_s_after_first_round']:,.0f} tokens/s"),
        _least("      of the limit of two cores", rate / limit, 0.58, "{:.1%}"),
        _least("      of twice the kernel alone", rate / alone, 0.92),
        Row("      of two kernels at once", f"{rate / both:.2f}"),
        Row("      processor time per phone", f"{two['cpu_s_a_phone']:.3f} s, all processes"),
    ]
    for cell in ("cifg", "lstm"):
        textbook = found.get(f"textbook {cell}")
        if textbook:
            ratio = textbook["cpu_s_a_phone"] / found[f"simulation {cell} 2"]["cpu_s_a_phone"]
            name = f"  (d) textbook, {cell}: {textbook['cpu_s_a_phone']:.2f} s a phone; ratio"
            lines.append(_least(name, ratio, 5, "{:.1f}"))
    lstm = found["simulation lstm 2"]["cpu_s_a_phone"]
    lines.append(_most(f"lstm, processor time per phone of {SENTENCES} x {TOKENS}", lstm, 0.45, "{:.3f} s"))
    return lines


def _engine(found: dict[str, Any]) -> list[Row]:
    tiny, kernel = found["tiny"], found["kernel cifg"]
    whole_ms, training_ms = 1e3 * tiny["cpu_s_a_phone"], 1e3 * kernel["tiny_phone_s"]
    return [
        Row("  (e) phones of one word: processor time", f"{whole_ms:.1f} ms, all processes"),
        Row("      of it local training (kernel alone)", f"{training_ms:.1f} ms"),
        _most("      engine's own cost a phone", whole_ms - training_ms, 5.0, "{:.1f} ms"),
    ]


def _memory(found: dict[str, Any]) -> list[Row]:
    lines = []
    for who in ("driver", "worker"):
        if "50 rounds" in found:
            peaks = [r["profile"][f"{who}_peak_rss_bytes"] / 1e9 for r in found["50 rounds"]["rounds"]]
            name, note = f"{who}, growth of peak memory, rounds 5 to 50", f" ({peaks[4]:.3f} -> {peaks[49]:.3f})"
            # A peak never falls: it moves with the two or three sums of 11 MB that happen to be under way.
            lines.append(_most(name, peaks[49] - peaks[4], 0.03, "{:.3f} GB", note))
        if "5,000 phones" in found:
            peak = max(r["profile"][f"{who}_peak_rss_bytes"] for r in found["5,000 phones"]["rounds"])
            lines.append(_most(f"5,000 phones a round: {who}'s peak memory", peak / 1e9, 1.2, "{:.2f} GB"))
    return lines


def _fleets(found: dict[str, Any]) -> list[Row]:
    lines = []
    for phones in (1_000_000, 10_000_000):
        fleet = found.get(f"fleet {phones}")
        if fleet is None:
            continue
        ready, size, query = fleet["ready_s"], fleet["peak_rss_bytes"] / 1e9, 1e3 * fleet["check_in_slowest_s"]
        if phones == 1_000_000:
            lines += [
                _most("fleet of 1,000,000: ready in", ready, 15, "{:.1f} s"),
                _most("      memory", size, 1.0, "{:.2f} GB"),
                _most("      slowest check-in query", query, 50, "{:.0f} ms"),
                _least("      dry run, goal 500: rounds a second", fleet["dry_run_rounds_per_s"], 50, "{:.0f}"),
            ]
        else:
            lines.append(Row(f"fleet of {phones:,}", f"ready in {ready:.0f} s, {size:.1f} GB, query {query:.0f} ms"))
    return lines


def print_table(console: Console, found: dict[str, Any]) -> None:
    """The table, and the profile of the simulation with two workers."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("", "measured", "target", ""):
        table.add_column(name)
    for row in rows(found):
        mark = {None: "", True: "met", False: "NOT MET"}[row.met]
        table.add_row(row.name, row.measured, row.target, mark)
    console.print(table)
    console.print(_profile(found["simulation cifg 2"]["rounds"][-1]))


def _profile(record: dict[str, Any]) -> str:
    profile, phones = record["profile"], record["reports"]

    def parts(phases: dict[str, float], scale: float, unit: str) -> str:
        return ", ".join(f"{name.replace('_', ' ')} {scale * seconds:.1f}" for name, seconds in phases.items()) + unit

    return (
        f"last round of cifg with 2 workers, {phones} phones in {record['train_seconds']:.1f} s:\n"
        f"  driver   {parts(profile['driver_s'], 1e3, ' ms')}\n"
        f"  hosts    {parts(profile['hosts_s'], 1e3 / phones, ' ms per phone')}\n"
        f"  transport and idling of the busiest worker {1e3 * profile['transport_s']:.0f} ms; "
        f"checkpoint {1e3 * profile['checkpoint_s']:.0f} ms\n"
        f"  processor time: driver {profile['driver_cpu_s']:.2f} s, workers {profile['hosts_cpu_s']:.2f} s"
    )
