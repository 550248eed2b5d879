"""What a benchmark says of its machine, and the limit it derives from it."""

import getpass
import json
import socket
from pathlib import Path

import pytest

from benchmarks.machine import machine_facts
from benchmarks.roofline import CoreRates, TokenCost, bytes_per_token, least_seconds


def test_nothing_tells_whose_machine_it_is():
    text = json.dumps(machine_facts())
    home, here = str(Path.home()), str(Path.cwd())
    names = [name for name in (socket.gethostname(), getpass.getuser(), home, here) if len(name) > 2]
    assert not [name for name in names if f'"{name}' in text] and '"/' not in text
    assert json.loads(text)["cores"] >= 1 and json.loads(text)["libraries"]["numpy"]


def test_facts_are_those_that_linux_writes_and_the_others_are_none(tmp_path):
    cache, freq = tmp_path / "devices/system/cpu/cpu0/cache/index0", tmp_path / "devices/system/cpu/cpu0/cpufreq"
    for folder, files in (
        (cache, {"level": "1\n", "type": "Data\n", "size": "48K\n"}),
        (freq, {"scaling_governor": "performance\n", "cpuinfo_max_freq": "3700000\n"}),
        (tmp_path / "kernel/mm/transparent_hugepage", {"enabled": "always [madvise] never\n"}),
        (tmp_path, {"cpuinfo": "model name : Fast\ncpu MHz : 2600.5\nflags : avx2 sse\n\nmodel name : Slow\n"}),
    ):
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (folder / name).write_text(content)
    facts = machine_facts(tmp_path, tmp_path)
    assert facts["processor"] == "Fast" and facts["caches"] == {"L1 data": "48K"}
    assert (facts["mhz_at_start"], facts["mhz_most"], facts["governor"]) == (2600.5, 3700.0, "performance")
    assert facts["vector_instructions"] == ["avx2"] and facts["transparent_huge_pages"] == "madvise"
    nothing = machine_facts(tmp_path / "none", tmp_path / "none")
    unknown = ("mhz_at_start", "mhz_most", "governor", "transparent_huge_pages")
    assert [nothing[name] for name in unknown] == [None] * 4 and nothing["caches"] == {}


def test_the_roofline_is_compute_or_memory_whichever_takes_longer():
    # 8 MFLOP at 80 GFLOP/s; 10,000 logits at 0.5 ns; 4 batches x 8 bytes x 1.25 M weights a 1,000 tokens, at 20 GB/s.
    cost = TokenCost(8e6, 10_000, bytes_per_token(1_250_000, batches=4, tokens=1000))
    parts = cost.seconds(CoreRates(product_flops=80e9, softmax_s=0.5e-9, stream_bytes_s=20e9))
    assert parts == pytest.approx({"products": 100e-6, "softmax": 5e-6, "memory": 2e-6})
    assert least_seconds(parts) == pytest.approx(105e-6)
    assert least_seconds({**parts, "memory": 200e-6}) == pytest.approx(200e-6)
    assert bytes_per_token(1_250_000, 4, 1000, passes=1) == 20_000.0
