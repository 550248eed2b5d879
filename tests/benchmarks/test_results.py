"""From what was measured to figures with their spread, to a file, and to the tables: nothing is measured here."""

import io
import json
import runpy

import pytest
from rich.console import Console

from benchmarks.earlier import read_benchmark
from benchmarks.figures import FORM, UNITS, Figure
from benchmarks.findings import MUSTS, Figures
from benchmarks.results import show, write
from simulation.flags import run_door
from tests.conftest import ROOT
from typefleet.errors import InputError

PHONES = "phones of 50 x 20 tokens"
SPLIT = {"plan": 0.1, "exchange": 1.0, "server_step": 0.2, "evaluation": 0.5}
HOSTS = {"decode": 0.01, "read": 0.02, "train": 1.5, "clip_and_sum": 0.1, "other": 0.05}
PROFILE = {
    "driver_s": SPLIT,
    "hosts_s": HOSTS,
    "transport_s": 0.1,
    "checkpoint_s": 0.0,
    "driver_cpu_s": 0.4,
    "hosts_cpu_s": 1.6,
    "driver_peak_rss_bytes": 5e8,
    "worker_peak_rss_bytes": 4e8,
}


def kernel(pace, name="native"):
    beside = {} if name == "tensorflow" else {"tensorflow_tokens_per_s": 5000.0}
    return beside | {
        "kernel": name,
        "weights": 1000,
        "mflop_per_token": 8.0,
        "gemm_gflops": {"tensorflow": 100 * pace, "numpy": 90.0},
        "stream_gb_s": {"copy": 20.0, "add": 21.0},
        "softmax_ns": {"in the cache": 0.3, "of a batch": 0.4},
        "products_tokens_per_s": 12_500 * pace,
        "limit_us_per_token": {"products": 80 / pace, "softmax": 20 / pace, "memory": 10.0},
        "limit_tokens_per_s": 9_000 * pace,  # of an older version, which added its parts up
        "scoring_limit_tokens_per_s": 40_000.0,
        "kernel_tokens_per_s": 8000.0,
        "score_tokens_per_s": 20_000.0,
        "tiny_phone_s": 0.002,
    }


def simulation(rates):
    rounds = [
        {"reports": 10, "train_seconds": 1.3, "profile": PROFILE} for _ in range(49)
    ]  # of 50, since the last one is scored as well
    return {
        "rounds": rounds,
        "tokens_per_s": rates,
        "cpu_s_a_phone": [0.1] * len(rates),
        "start_up_s": 9.0,
    }


def found_of(load=0.1, others=0.0):
    """What a benchmark of three repetitions might have measured."""
    fleet = {"ready_s": 10.0, "peak_rss_bytes": 8e8, "check_in_slowest_s": 0.01, "dry_run_rounds_per_s": 200.0}
    start = {"first_round_s": 12.0, "start_up_s": 10.0, "scoring_first_s": 3.0, "cpu_s_at_round": [14.0]}
    measured = {
        "kernel cifg": [kernel(pace) for pace in (1.0, 1.1, 0.8)],
        "kernel lstm": [kernel(1.0, "tensorflow")] * 3,
        "two kernels": [{"tokens_per_s": value} for value in (15_000.0, 15_500.0, 14_000.0)],
        "start-up": [start] * 3,
        "simulation cifg 1": [simulation([7000.0, 7100.0, 6900.0])],
        "simulation cifg 2": [simulation([12_000.0, 13_000.0, 14_000.0])],
        "simulation lstm 2": [simulation([6000.0] * 3)],
        "scoring cifg 2": [{"tokens_per_s": [30_000.0, 32_000.0, 34_000.0]}],
        "textbook cifg": [{"cpu_s_a_phone": [0.9, 1.0, 1.1]}],
        "default run": [{"whole_s": 70.0, "recall": 0.2, "rounds": 100}],
        "tiny": [simulation([100.0] * 3)],
        "50 rounds": [simulation([100.0] * 49)],
        "5,000 phones": [simulation([100.0])],
        "fleet 1000000": [fleet] * 3,
        "fleet 10000000": [{name: fleet[name] for name in list(fleet)[:3]}],
    }
    machine = {"processor": "one", "cores": 2, "cores_allowed": 2, "caches": {"L1 data": "48K"}, "governor": None}
    machine |= {"libraries": {"numpy": "2.0"}, "blas_of_numpy": "blas 1", "mhz_at_start": 2000.0}
    return {
        "sizes": "quick",
        "machine": machine,
        "load_at_start": load,
        "seconds": {},
        "others_cores": {name: others if name == "two kernels" else 0.0 for name in measured},
        "measured": measured,
    }


def by_name(found):
    return {(figure.group.partition(",")[0], figure.name): figure for figure in Figures(found).all()}


def shown(*of, width=130):
    text = io.StringIO()
    show(Console(file=text, width=width, highlight=False), *of)
    return text.getvalue()


def test_a_figure_has_the_median_and_the_range_of_its_repetitions():
    figure = Figure("group", "name", "tokens/s", (1300.0, 1100.0, 1200.0), target=1250.0)
    assert (figure.median, figure.measured, figure.spread) == (1200, "1,200 tok/s", "1,100..1,300")
    assert figure.met is False and figure.wanted == ">=1,250 tok/s"
    least = Figure("group", "name", "s", (2.0,), target=2.0, less_is_better=True, is_loaded=True)
    assert (least.met, least.spread, least.measured, least.wanted) == (True, "once", "2 s*", "<=2 s")


@pytest.mark.parametrize(
    ("values", "said"), [((2.0, 3.0, 4.0), "1.50~"), ((4.0, 5.0, 6.0), "2.50"), ((0.5, 1.0, 1.2), "0.50")]
)
def test_beside_an_old_one_a_ratio_says_whether_it_may_be_chance(values, said):
    assert Figure("g", "n", "s", values).beside(Figure("g", "n", "s", (1.5, 2.0, 3.5))) == said


def test_what_two_measurements_come_to():
    figures = by_name(found_of())
    limit = figures[PHONES, "  cifg: of the limit of two cores"]
    assert limit.values == pytest.approx((0.6, 0.65, 0.7))  # of twice the median limit
    assert figures[PHONES, "  cifg, 2: of products alone"].median == 13_000 / 25_000
    # Each of its own repetition's limit.
    assert figures["cifg", "  of the limit of a core"].values == pytest.approx((0.8, 8 / 11, 1.0))
    assert figures["default run", "start-up, to the first scoring"].median == 7.0
    assert figures["default run", "before the first round"].median == 10.0
    # 0.15 s for each of ten phones, where the kernel alone takes 0.125 s; the first round is left out.
    assert figures[PHONES, "  cifg, 2: phone in a host / alone"].values == pytest.approx([1.2] * 48)
    assert figures[PHONES, "  lstm, 2: worker seconds a phone"].median == pytest.approx(2 * 1000 / 6000)
    assert figures["cifg", "  native kernel, of TensorFlow's"].median == 1.6
    assert ("lstm", "  native kernel, of TensorFlow's") not in figures  # since it is TensorFlow's
    assert figures[PHONES, "  cifg, textbook: times ours"].median == pytest.approx(10.0)
    assert len(Figures(found_of()).all()) == len(figures)  # by group and name each is there once
    assert {figure.unit for figure in figures.values()} <= UNITS.keys()


def test_every_must_is_of_a_figure_and_says_whether_it_is_met(tmp_path):
    found = found_of()
    found["measured"]["textbook lstm"] = found["measured"]["textbook cifg"]
    found["others_cores"]["textbook lstm"] = 0.0
    held = [figure for figure in Figures(found).all() if figure.target is not None]
    assert len(held) == len(MUSTS) and all(figure.met is not None for figure in held)
    write(tmp_path / "new.json", found)
    del found["measured"]["default run"], found["measured"]["fleet 10000000"]
    write(tmp_path / "old.json", found)
    ours, earlier = (read_benchmark(tmp_path / name) for name in ("new.json", "old.json"))
    lines = [line.strip("| ").split("|") for line in shown(ours, earlier).splitlines() if line.startswith("| ")]
    heading, rows = [one.strip() for one in lines[0]], [[one.strip() for one in line] for line in lines[1:]]
    assert heading == ["what has to be reached", "must", "before", "now"] and len(rows) == len(MUSTS)
    told = {row[0]: row[1:] for row in rows}
    assert told["default run, whole: from the command to the table"] == ["<=73.5 s", "-", "70 s", "met"]
    assert told["cifg, kernel alone, 1 thread: of the limit of a core"] == [">=75.0%", "80.0%", "80.0%", "met"]
    assert told["fleet of 1,000,000: ready"] == ["<=4 s", "10 s", "10 s", "not met"]
    assert "training kernel: native (cifg); tensorflow (lstm)" in shown(ours)


def test_a_file_of_an_earlier_version_is_shown_with_what_this_one_makes_of_it(tmp_path):
    path = tmp_path / "old.json"
    write(path, found_of())
    content = json.loads(path.read_text())
    content["figures"] = content["figures"][:1]  # it knew one
    path.write_text(json.dumps(content))
    assert list(read_benchmark(path).figures.values()) == Figures(found_of()).all()
    del content["measured"]["kernel cifg"][0]["kernel_tokens_per_s"]
    path.write_text(json.dumps(content))
    assert len(read_benchmark(path).figures) == 1  # what it says of itself, where more cannot be made of it
    del content["measured"]
    path.write_text(json.dumps(content))
    assert len(read_benchmark(path).figures) == 1 and not read_benchmark(path).kernels


def test_less_is_measured_and_fewer_figures_come_of_it():
    found = found_of()
    found["measured"] = {name: found["measured"][name] for name in ("kernel cifg", "two kernels", "start-up")}
    assert {group for group, _ in by_name(found)} == {"cifg", "default run", PHONES}


def test_figures_of_a_busy_machine_are_marked():
    assert not any(figure.is_loaded for figure in Figures(found_of(load=0.5)).all())
    assert all(figure.is_loaded for figure in Figures(found_of(load=0.51)).all())
    marked = {figure.name for figure in Figures(found_of(others=0.6)).all() if figure.is_loaded}
    assert marked == {"cifg, two kernels at once", "  of twice one alone"}  # busy just before these alone


def test_a_file_is_read_as_it_was_written_and_compared(tmp_path):
    new, old = tmp_path / "new.json", tmp_path / "old.json"
    write(new, found_of())
    slower = found_of(load=3.0)
    slower["measured"]["simulation cifg 2"] = [simulation([6000.0, 6500.0, 7000.0])]
    slower["sizes"], slower["machine"] = "smoke", {**slower["machine"], "processor": "another"}
    write(old, slower)
    ours, earlier = read_benchmark(new), read_benchmark(old)
    assert list(ours.figures.values()) == Figures(found_of()).all()
    alone, both = shown(ours, None, found_of()), shown(ours, earlier)
    assert "not met" in alone and "last round of cifg with 2 workers" in alone and "another" not in alone
    line, _ = [line.split() for line in both.splitlines() if "cifg: of the limit of two cores" in line]
    assert line[-3:] == ["32.5%*", "65.0%", "2.00"]  # the medians, the old one with its mark, and the ratio
    assert "processor: another then, one now" in both and "amounts of work differ" in both
    assert "3.00 then, 0.10 now" in both
    for told in ((ours,), (earlier,), (ours, earlier)):  # nothing is cut off on a terminal of 80 columns
        wide = shown(*told, width=80)
        assert "…" not in wide
        assert all(name in wide for _, name in ours.figures)
        narrow = shown(*told, width=60)  # names are broken there, and figures are not
        assert "…" not in narrow
        assert all(figure.measured in narrow and figure.wanted in narrow for figure in told[0].figures.values())


def test_both_tables_say_before_and_now(tmp_path):
    write(tmp_path / "b.json", found_of())
    ours = read_benchmark(tmp_path / "b.json")
    heads = [line.split() for line in shown(ours, ours).splitlines() if " now " in line]
    assert [[word for word in head if word in ("must", "before", "now", "ratio")] for head in heads] == [
        ["before", "now", "ratio"],
        ["must", "before", "now"],
    ]


def test_a_benchmark_too_small_to_be_judged_is_not(tmp_path):
    write(tmp_path / "b.json", found_of() | {"sizes": "smoke"})
    smoke = read_benchmark(tmp_path / "b.json")
    assert all(figure.target is None for figure in smoke.figures.values())
    assert "must" not in shown(smoke) and "met" not in shown(smoke).split()


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"form": None}, "no form, as in older ones"),
        ({"form": FORM + 1}, "another form"),
        ({"machine": 3}, "parts that are missing or of another kind"),
        ({"machine": {}}, "parts that are missing or of another kind"),
        ({"machine": {**found_of()["machine"], "caches": [1]}}, "parts that are missing or of another kind"),
        ({"machine": {**found_of()["machine"], "processor": "[/b]"}}, "a name with markup"),
        ({"sizes": "[/b]"}, "a name with markup"),
        ({"measured": {}, "figures": [Figure("g", "[/red]", "s", (1.0,)).to_json()]}, "a name with markup"),
        ({"measured": {}, "figures": [Figure("[/red]", "n", "s", (1.0,)).to_json()]}, "a name with markup"),
        ({"figures": [{"group": "g"}]}, "something else"),
        ({"figures": [{**Figure("g", "n", "s", (1.0,)).to_json(), "values": []}]}, "something else"),
        ({"figures": [{**Figure("g", "n", "s", (1.0,)).to_json(), "unit": "parsec"}]}, "something else"),
    ],
)
def test_a_file_of_another_form_is_refused_in_one_line(tmp_path, change, found):
    path = tmp_path / "old.json"
    write(path, found_of())
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(InputError, match=f"of a benchmark|scripts/benchmark.py of form {FORM}") as error:
        read_benchmark(path)
    assert str(error.value).endswith(found) and "\n" not in str(error.value)


def test_figures_that_are_cut_short_are_those_of_the_file(tmp_path):
    path = tmp_path / "old.json"
    write(path, found_of())
    content = json.loads(path.read_text())
    del content["measured"]["50 rounds"][0]["rounds"][30:]
    path.write_text(json.dumps(content))
    assert len(read_benchmark(path).figures) == len(content["figures"])


def test_the_script_shows_a_file_and_refuses_what_is_none_before_it_measures(tmp_path, capsys):
    write(tmp_path / "b.json", found_of())
    (tmp_path / "old.json").write_text("{}")
    script = runpy.run_path(str(ROOT / "scripts" / "benchmark.py"))
    measured = script["BenchmarkFlags"](measured=tmp_path / "b.json")
    assert run_door(lambda: script["main"](measured)) == 0
    assert "of the limit of two cores" in capsys.readouterr().out
    compared = script["BenchmarkFlags"](compare=tmp_path / "old.json", output=tmp_path / "new.json")
    assert run_door(lambda: script["main"](compared)) == 2
    said = capsys.readouterr()
    assert said.err.count("\n") == 1 and "no form" in said.err and not said.out


def test_other_amounts_of_tiny_phones_are_not_put_beside_each_other():
    few, many = found_of(), found_of()
    for record in many["measured"]["tiny"][0]["rounds"]:
        record["reports"] = 5 * record["reports"]
    names = [{(f.group, f.name) for f in Figures(found).all() if "of one word" in f.group} for found in (few, many)]
    assert names[0] and not names[0] & names[1]


def test_what_was_measured_in_the_same_turn_is_compared():
    found = found_of()
    pace = (1.0, 0.5, 0.25)  # of the machine, from turn to turn
    found["measured"]["two kernels"] = [{"tokens_per_s": 15_000 * p} for p in pace]
    found["measured"]["kernel cifg"] = [kernel(p) | {"kernel_tokens_per_s": 8000 * p} for p in pace]
    found["measured"]["simulation cifg 2"] = [simulation([14_000.0 * p, 14_100.0 * p]) for p in pace]
    by_name = {f.name.strip(): f for f in Figures(found).all()}
    assert by_name["of twice one alone"].values == pytest.approx([15 / 16] * 3)
    assert by_name["cifg, 2: of two kernels at once"].values == pytest.approx([14 / 15, 14.1 / 15] * 3)
    assert by_name["cifg, 2: of kernels alone"].values == pytest.approx([14 / 16, 14.1 / 16] * 3)
    assert by_name["cifg, 2: of products alone"].values == pytest.approx([14 / 25, 14.1 / 25] * 3)
    assert by_name["cifg: of the limit of two cores"].values == pytest.approx([0.7, 0.705] * 3)
    in_hosts = by_name["cifg, 2: phone in a host / alone"].values
    assert in_hosts == pytest.approx([in_hosts[0] * p for p in pace for _ in range(48)])


def test_a_file_whose_measurements_are_damaged_is_shown_by_its_own_figures(tmp_path):
    found = found_of()
    kept = [figure.to_json() for figure in Figures(found).all()]
    found["measured"]["simulation cifg 2"][0]["tokens_per_s"] = []
    path = tmp_path / "benchmark.json"
    path.write_text(json.dumps({"form": FORM, **found, "figures": kept}))
    read = read_benchmark(path)
    assert read.figures[PHONES, "  cifg, 2: of two kernels at once"].median == pytest.approx(13 / 15)
