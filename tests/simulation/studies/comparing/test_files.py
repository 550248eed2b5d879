"""What a comparison prints and leaves in a folder: whole at every width, the same bytes each time, all escaped."""

import csv
import io
import json
import math
import re
import shutil
from html.parser import HTMLParser

import pyarrow.parquet as pq
import pytest
from matplotlib.figure import Figure
from rich.console import Console

from client_model.metrics.table import metric_table
from simulation.studies.comparing.comparison import compare_runs
from simulation.studies.comparing.files import COLUMNS, write_comparison
from simulation.studies.comparing.plots import from_nothing_on
from simulation.studies.comparing.tables import print_comparison
from tests.simulation.studies.run_folders import make_run
from typefleet import studies
from typefleet.errors import ConfigError

KINDS = {"none": 0.06, "gaussian": 0.03, "tree": 0.04, "blt": 0.05}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Four mechanisms, two seeds of each; the first has files for phones."""
    root = tmp_path_factory.mktemp("runs")
    made = [
        make_run(root / f"{name}-{seed}", seed=seed, skill=skill + 0.003 * seed, privacy={"mechanism": name})
        for name, skill in KINDS.items()
        for seed in (0, 1)
    ]
    (made[0] / "model" / "keyboard.tflite").write_bytes(bytes(1_500_000))
    return made


@pytest.fixture(scope="module")
def written(folders, tmp_path_factory):
    """(comparison, folder) of all of them."""
    output = tmp_path_factory.mktemp("out")
    return studies.compare_runs(folders, output_dir=output), output


@pytest.mark.parametrize("width", [60, 80, 120, 160])
def test_tables_fit_the_terminal_and_lose_nothing(width, written):
    text = io.StringIO()
    print_comparison(Console(file=text, width=width), written[0])
    printed = text.getvalue()
    assert all(len(line) <= width for line in printed.splitlines())
    for words in ("Settings that differ", "Difference to none", "recall@1", "trigram", "no difference", "t-interval"):
        assert words in printed
    # Of the figures and of the differences.
    assert " ".join(printed.split()).count("that wide because of two seeds: 12.7 standard errors") == 2
    for values in written[0].measured:
        for one in values:
            if one.metric.compared:
                half = 100 * one.half_width
                assert f"{100 * one.value:.2f} ±{half:.{1 if half >= 10 else 2}f}" in printed
    assert "1.50" in printed and "modelled deployment with 20,000 reports per round" in " ".join(printed.split())


def test_up_to_four_groups_stand_side_by_side_on_80_columns(written):
    text = io.StringIO()
    print_comparison(Console(file=text, width=80), written[0])
    headings = [line.split() for line in text.getvalue().splitlines() if line.split()[:2] == ["group", "none"]]
    assert headings and all(names == ["group", *KINDS] for names in headings)


def test_the_same_comparison_is_the_same_bytes(folders, written, tmp_path):
    write_comparison(compare_runs(folders), tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    figures = {f"{name}.{ending}" for name in ("recall", "curves", "epsilon") for ending in ("svg", "pdf")}
    assert names == figures | {"comparison.html", "comparison.csv", "comparison.parquet"}
    for name in names:
        assert (tmp_path / name).read_bytes() == (written[1] / name).read_bytes(), name
    write_comparison(compare_runs(folders[:2]), tmp_path)  # over an earlier one
    assert "gaussian" not in (tmp_path / "comparison.csv").read_text()


def test_the_tidy_tables_have_numbers_as_numbers_and_agree(written):
    found, folder = written
    table = pq.read_table(folder / "comparison.parquet")
    rows = table.to_pylist()
    assert rows == found.rows and table.column_names == list(COLUMNS)
    assert {str(table.schema.field(name).type) for name in ("value", "low", "difference")} == {"double"}
    assert str(table.schema.field("difference_shown").type) == "bool"
    keys = [(row["group"], row["figure"]) for row in rows]
    assert len(set(keys)) == len(keys)
    assert {"top1_recall", "perplexity", "epsilon", "wall_seconds", "baseline_trigram_top1"} <= {k for _, k in keys}
    with (folder / "comparison.csv").open(newline="") as file:
        for text, row in zip(csv.DictReader(file), rows, strict=True):
            for name, kind in COLUMNS.items():
                if row[name] is None:
                    assert text[name] == ""
                elif kind is float:
                    assert math.isclose(float(text[name]), row[name], rel_tol=1e-15)
                else:
                    assert text[name] == str(row[name])
    for row in rows:
        if row["figure"] == "top1_recall":
            assert row["low"] < row["value"] < row["high"] and row["interval_number"] == 2
            assert (row["difference"] is None) == (row["group"] == "none")
            if row["difference"] is not None:
                outside = row["difference_low"] > 0 or row["difference_high"] < 0
                assert row["difference_shown"] is outside and "paired by seed" in row["difference_how"]


class _Page(HTMLParser):
    """Names, ids and addresses of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.ids, self.addresses = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        for name, value in attributes:
            if name == "id":
                self.ids.append(value)
            if name in ("src", "href", "xlink:href") and not value.startswith("#"):
                self.addresses.append(value)


def test_the_page_stands_alone(written):
    text = (written[1] / "comparison.html").read_text(encoding="utf-8")
    page = _Page(text)
    assert page.tags.count("svg") == 3 and page.tags.count("h1") == 1
    assert not {"script", "link", "img", "iframe"} & set(page.tags) and page.addresses == []
    assert len(set(page.ids)) == len(page.ids)
    used = set(re.findall(r"url\(#([^)]+)\)", text)) | set(re.findall(r'href="#([^"]+)"', text))
    assert used and used <= set(page.ids)
    assert "prefers-color-scheme: dark" in text and "@media print" in text and "width=device-width" in text
    drawings = " ".join(re.findall(r"<svg.*?</svg>", text, re.DOTALL))
    assert not re.search(r": #[0-9a-f]{6}", drawings) and "<style" not in drawings
    style = text[text.index("<style>") : text.index("</style>")]
    for variable in set(re.findall(r"var\((--[\w-]+)\)", drawings)):
        assert len(re.findall(rf"{variable}: #", style)) == 3, variable  # in the light, in the dark, on paper
    for label in KINDS:
        assert f'<th scope="row">{label}</th>' in text


def test_names_of_folders_are_escaped(tmp_path):
    folders = [make_run(tmp_path / "<b>$a_1$", seed=0), make_run(tmp_path / "plain & simple", seed=1)]
    write_comparison(compare_runs(folders, ["run"]), tmp_path / "out")
    text = (tmp_path / "out" / "comparison.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;$a_1$" in text and "<b>" not in text and "plain &amp; simple" in text


def test_figures_are_as_wide_as_a_column(written):
    widths = {
        name: re.search(r'width="([\d.]+)pt"', (written[1] / f"{name}.svg").read_text())
        for name in ("recall", "curves")
    }
    assert float(widths["recall"][1]) == pytest.approx(3.35 * 72) and float(widths["curves"][1]) == pytest.approx(
        6.9 * 72
    )
    for name in ("recall", "curves", "epsilon"):
        pdf, svg = (written[1] / f"{name}.{ending}" for ending in ("pdf", "svg"))
        assert b"/FontFile2" in pdf.read_bytes() and b"/Type3" not in pdf.read_bytes()
        assert b"/CreationDate" not in pdf.read_bytes() and "<dc:date>" not in svg.read_text()


def test_what_must_not_be_ranked_is_said_in_every_output(tmp_path):
    folders = [make_run(tmp_path / "a"), make_run(tmp_path / "b", cohort=500, privacy={"mechanism": "tree"})]
    found, text = compare_runs(folders), io.StringIO()
    print_comparison(Console(file=text, width=80), found)
    written = write_comparison(found, tmp_path / "out")
    said = "different deployments"
    assert said in text.getvalue() and "with 500 reports" in " ".join(text.getvalue().split())
    for path in written[:2]:
        assert said in path.read_text(encoding="utf-8"), path
    assert any(said in (note or "") for note in pq.read_table(written[2])["note"].to_pylist())


@pytest.mark.parametrize(("name", "whole", "last"), [("completed", True, 2), ("closed_s", False, 80_000)])
def test_a_curve_of_one_point_has_an_axis_from_nothing_to_the_end(tmp_path, name, whole, last):
    found = compare_runs([make_run(tmp_path / "run", rounds=2)], allow_unfinished=True)
    axis = Figure().add_subplot()
    axis.plot([last], [0.2], marker="o")
    from_nothing_on(axis, found, lambda line: line[name], whole=whole)
    low, high = axis.get_xlim()
    ticks = [tick for tick in axis.get_xticks() if low <= tick <= high]
    assert low == 0 and last < high < 1.1 * last
    assert ticks == [0, 1, 2] if whole else 3 <= len(ticks) <= 6


def test_a_run_that_was_never_measured_has_dashes_and_its_curves(tmp_path):
    folder = make_run(tmp_path / "run", rounds=1, with_phones=False)
    summary = json.loads((folder / "summary.json").read_text())
    nothing = {name: None for name in summary if name in metric_table().nothing()}
    (folder / "summary.json").write_text(json.dumps({**summary, **nothing, "tokens_per_second": None}))
    found, text = studies.compare_runs([folder], allow_unfinished=True, output_dir=tmp_path / "out"), io.StringIO()
    print_comparison(Console(file=text, width=80), found)
    assert "No interval: not measured." in text.getvalue() and "reference" not in text.getvalue()
    (row,) = (row for row in found.rows if row["figure"] == "top1_recall")
    assert (row["value"], row["low"], row["why_no_interval"]) == (None, None, "not measured")
    assert (tmp_path / "out" / "curves.svg").stat().st_size > 1000


@pytest.mark.parametrize("place", ["file", "run"])
def test_a_place_that_cannot_take_it_is_refused(place, folders, tmp_path):
    (tmp_path / "file").touch()
    output = tmp_path / "file" if place == "file" else folders[0]
    before = sorted(path.name for path in folders[0].iterdir())
    with pytest.raises(ConfigError, match=r"--output-dir: expected a folder"):
        studies.compare_runs(folders, output_dir=output)
    assert sorted(path.name for path in folders[0].iterdir()) == before


@pytest.mark.slow
def test_a_real_run_is_compared_with_a_variant_of_it(straight, script_here, tmp_path):
    folder, printed = straight
    shutil.copytree(folder, tmp_path / "other")  # the same run under a setting that its figures do not show
    config = tmp_path / "other" / "config.toml"
    text = config.read_text().replace("pause_s = 60.0", "pause_s = 61.0")
    assert text != config.read_text()
    config.write_text(text)
    done = script_here("compare_runs.py", folder, tmp_path / "other", "--output-dir", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert re.search(r"cohort.pause_s +60 +61", done.stdout) and "paired by phone" in done.stdout
    rows = pq.read_table(tmp_path / "out" / "comparison.parquet").to_pylist()
    (first, second) = (row for row in rows if row["figure"] == "top1_recall")
    assert f"{100 * first['value']:.2f} %" in printed and first["low"] < first["value"] < first["high"]
    assert (second["difference"], second["difference_low"], second["difference_high"]) == (0, 0, 0)
    assert [row["value"] for row in rows if row["figure"] == "keyboard_bytes"] == [
        (folder / "model" / "keyboard.tflite").stat().st_size
    ] * 2
    assert second["difference_shown"] is False and (tmp_path / "out" / "comparison.html").exists()
