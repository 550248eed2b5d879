"""The page stands by itself, can be read without eyes and without a mouse, and says what the run's files say."""

import json
import math
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from client_model.metrics.intervals import over_people
from client_model.metrics.keyboard_metrics import TOP1_RECALL, num_tokens
from client_model.metrics.metric import Metric
from client_model.metrics.table import metric_table
from client_model.tflite.export_tflite import Export
from server_strategy.pooled_evaluation import PhoneCounts
from server_strategy.privacy.rounded_up import Bound
from simulation.flags import read_config
from simulation.report import charts, figures
from simulation.report.at_the_end import report_at_the_end
from simulation.report.facts import KeyPress
from simulation.report.page import report_of_folder, write_report
from simulation.run.directory import RunDirectory
from simulation.run.held_out_phones import read_phone_counts, write_phone_counts
from typefleet.errors import ConfigError

VOID = {"meta", "br", "path", "use"}
MOST_BYTES = 300_000


class Page(HTMLParser):
    """Elements of a page in their order, and what is in them."""

    def __init__(self, html):
        super().__init__()
        self.html, self.open, self.elements, self.texts = html, [], [], []
        self.feed(html)
        self.close()
        self.text = re.sub(r"\s+", " ", " ".join(self.texts))
        assert not self.open, self.open

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.elements.append((tag, attributes, tuple(self.open)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes), tuple(self.open)))

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, (tag, self.open, self.getpos())

    def handle_data(self, data):
        if "style" not in self.open:
            self.texts.append(data)

    def all(self, *tags):
        return [(tag, attributes) for tag, attributes, _ in self.elements if tag in tags]


def report_of(folder, **known):
    return Page(write_report(folder, **known).read_text(encoding="utf-8"))


def change(path, **values):
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.fixture(scope="module")
def page(whole_run):
    return Page((whole_run / "report.html").read_text(encoding="utf-8"))


def test_it_needs_nothing_from_elsewhere(page, whole_run):
    assert len(page.html.encode()) < MOST_BYTES
    assert not page.all("script", "link", "img", "iframe", "object", "base", "form")
    assert not re.search(r"(https?:)?//\w|@import|javascript:", page.html)
    assert not [name for _, a in page.all(*{t for t, _, _ in page.elements}) for name in a if name.startswith("on")]
    ids = [a["id"] for _, a, _ in page.elements if "id" in a]
    assert len(ids) == len(set(ids))
    named = re.findall(r"url\(([^)]*)\)", page.html) + [a["href"] for _, a in page.all("a", "use")]
    assert named
    for name in named:
        assert name[1:] in ids if name.startswith("#") else (whole_run / name).exists(), name
    labelled = [a["aria-labelledby"] for _, a, _ in page.elements if "aria-labelledby" in a]
    assert labelled and set(labelled) <= set(ids)


def test_it_can_be_read_without_eyes(page):
    (_, html), *_ = page.all("html")
    assert html["lang"] == "en" and page.all("title") and len(page.all("main")) == 1
    levels = [int(tag[1]) for tag, _ in page.all("h1", "h2", "h3", "h4")]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in zip(levels, levels[1:], strict=False))
    drawings = page.all("svg")
    assert len(drawings) == 9
    for _, drawing in drawings:
        assert drawing["role"] == "img" and re.search(r"\d", drawing["aria-label"])
    tables = page.all("table")
    assert len(tables) == len(page.all("caption")) > 6
    assert all(a["scope"] in ("col", "row", "rowgroup") for _, a in page.all("th"))
    assert {a["scope"] for _, a in page.all("th")} == {"col", "row", "rowgroup"}
    assert all(a["tabindex"] == "0" and a["aria-label"] for _, a in page.all("div") if a.get("role") == "region")


def test_a_table_of_many_columns_keeps_its_columns_on_a_phone_with_units_in_its_headings(page):
    start = page.html.index('<table class="close closest">')
    table = Page(page.html[start : page.html.index("</table>", start) + len("</table>")])
    headings = re.findall(r'scope="col"[^>]*>([^<]*)<', table.html)
    assert headings[:2] == ["this run", "95 % interval".replace(" %", "\N{NO-BREAK SPACE}%")]
    assert "recall, first suggestion, %" in table.text and "perplexity, %" not in table.text
    values = re.findall(r'<td class="n">([^<]*)<', table.html)
    assert len(values) > 20 and not [value for value in values if "%" in value]
    assert "display:" not in "".join(re.findall(r"\.closest[^}]*}", page.html))


def test_it_says_what_the_files_say(page, whole_run):
    summary = json.loads((whole_run / "summary.json").read_text())
    counted = read_phone_counts(whole_run / "held_out.parquet")
    interval = over_people(TOP1_RECALL, counted.counts)
    text = page.text
    assert f"On {len(counted.phones)} people who never trained" in text
    assert f"right in {100 * summary['top1_recall']:.1f} % of the words that the vocabulary has" in text
    assert f"(95 % interval over people {100 * interval.low:.1f} to {100 * interval.high:.1f})" in text
    pairs, triples = (100 * summary[f"baseline_{name}_top1"] for name in ("bigram", "trigram"))
    assert f"pairs of words reaches {pairs:.1f} %, triples {triples:.1f} %" in text
    assert summary["weights_sha256"] in text and f"epsilon {Bound(summary['epsilon']):.2f}" in text
    for name, entry in json.loads((whole_run / "model" / "manifest.json").read_text()).items():
        assert not name.endswith(".tflite") or f"{entry['bytes']:,}" in text
    (label,) = [
        a["aria-label"] for _, a in page.all("svg") if "recall, first suggestion over completed" in a["aria-label"]
    ]
    for line in RunDirectory(whole_run).read_rounds():
        assert f"{100 * line['top1_recall']:.1f}\N{NO-BREAK SPACE}% after round {line['completed']}" in label
    groups = json.loads((whole_run / "participation.json").read_text())["by_group"]
    for group in groups:
        assert f"{100 * group['never_used_share']:.1f} %" in text


def test_what_a_modelled_deployment_does_not_give_comes_first(page):
    text = page.text
    not_theirs = text.index("What the files do not have:")
    assert (
        not_theirs < text.index("What the deployment would have: epsilon") < text.index("How good the suggestions are")
    )
    assert text[:not_theirs].count("epsilon") == 0


def test_what_is_shown_is_typed_on_the_exported_file(page, whole_run):
    from simulation.device.everyday_sentences import SENTENCES
    from simulation.device.keyboard import Keyboard
    from simulation.device.keyboard_server import blocked_words

    keyboard = Keyboard(whole_run, additions=True, blocked=blocked_words())
    three = sum(word in shown for sentence in SENTENCES[:3] for shown, word in keyboard.read(sentence))
    assert page.html.count("<mark>") == three == page.text.count("\N{CHECK MARK}")
    assert all(sentence in page.text for sentence in SENTENCES[:3])


def test_the_same_run_gives_the_same_bytes(run_copy, monkeypatch):
    for draw in (charts.line_chart, charts.bar_chart):  # again
        monkeypatch.setattr(figures, draw.__name__, draw)
    presses = {"keyboard.tflite": KeyPress(0.25, 1.5)}
    first = write_report(run_copy, key_presses=presses).read_bytes()
    assert write_report(run_copy, key_presses=presses).read_bytes() == first
    assert b"0.25 / 1.50" in first


@pytest.mark.parametrize(
    ("lost", "said"),
    {
        "held_out.parquet": "95 % intervals over people; the run has no held_out.parquet",
        "participation.json": "participation.json: expected who took part in a finished run",
        "privacy.json": "privacy.json: expected the privacy statement of a run",
        "model/manifest.json": "the run exported no files for phones. This makes it: ",
        "model/keyboard.tflite": "keyboard.tflite: expected an exported model, found none",
        "tensorboard": "Report of a run",
        "checkpoints": "Report of a run",
    }.items(),
)
def test_what_a_run_lacks_is_left_out_with_the_reason(run_copy, lost, said):
    (run_copy / lost).rename(run_copy / "aside")
    assert said in report_of(run_copy).text


@pytest.mark.parametrize("name", ["participation.json", "privacy.json", "model/manifest.json", "central.json"])
@pytest.mark.parametrize("content", ["", "[]", "{}", '{"overall": 3, "planned": [], "metrics": 7, "epochs": "x"}'])
def test_a_damaged_file_costs_its_part_of_the_page_only(run_copy, name, content):
    (run_copy / name).write_text(content)
    page = report_of(run_copy)
    assert "Left out: " in page.text and "On 10 people who never trained" in page.text


def test_damaged_times_of_rounds_leave_the_start_on_the_page(run_copy):
    path = run_copy / "rounds.jsonl"
    first, *others = path.read_text().splitlines(keepends=True)
    told = json.loads(first)
    del told["profile"]["driver_s"]
    path.write_text("".join([json.dumps(told) + "\n", *others]))
    page = report_of(run_copy)
    assert "The start" in page.text and "The rounds" not in page.text


def test_a_text_in_the_place_of_a_number_costs_no_more(run_copy):
    found = json.loads((run_copy / "participation.json").read_text())
    found["by_group"][0]["never_used_share"] = "none"
    (run_copy / "participation.json").write_text(json.dumps(found))
    page = report_of(run_copy)
    assert "does not have the form that this version writes" in page.text and "Who took part, of" not in page.text


@pytest.mark.parametrize("name", ["summary.json", "rounds.jsonl", "config.toml"])
def test_without_what_makes_it_a_run_there_is_none(run_copy, name):
    (run_copy / name).write_text("?\n")
    with pytest.raises(ConfigError, match=re.escape(str(run_copy / name))):
        write_report(run_copy)
    assert not (run_copy / "report.html").exists()


def test_central_training_stands_beside_the_run(run_copy):
    assert (
        "in one place: not made (once it is, scripts/report.py puts it here). This makes it:"
        in report_of(run_copy).text
    )
    (run_copy / "central.json").write_text('{"metrics": {"top1_recall": 0.4321}, "epochs": 7, "learning_rate": 1.0}')
    page = report_of(run_copy)
    assert " 43.21 " in page.text and "7 epochs over the same" in page.text
    assert sum("central 43.2" in a["aria-label"] for _, a in page.all("svg")) == 2


def test_terms_are_explained_where_they_stand(page):
    for term in (
        r"Gini coefficient of [\d.]+, where 0 is an equal share for each",
        r"device tier is a phone's memory, low below 4 GB",
        r"time eligible is the share of the time in which it is idle, charging and on Wi-Fi",
        r"Perplexity is the number of equally likely tokens",
        r"of zero-concentrated differential privacy \(zCDP\)",
    ):
        assert re.search(term, page.text), term


def test_a_metric_of_ones_own_that_fails_over_people_costs_its_interval_only(run_copy):
    total = int(read_phone_counts(run_copy / "held_out.parquet").counts["tokens"].sum())
    ones = lambda c: 1 / int(c["tokens"] == total)  # noqa: E731  of all people, and of hardly any draw of them
    raising = Metric("mine", "my metric", {"tokens": num_tokens}, ones, unit="number")
    none = Metric("no_number", "no number", {"tokens": num_tokens}, lambda c: float("nan"), unit="number")
    change(run_copy / "summary.json", mine=1.0, no_number=None)
    text = report_of(run_copy, metrics=metric_table((), [raising, none])).text
    assert re.search(r"No interval, my metric: metric mine: expected a value of its counts, found \w+ at test_p", text)
    assert "No value, no number: nothing was there to count, or what came out is no finite number." in text
    assert "(95 % interval over people" in text
    found = json.loads((run_copy / "participation.json").read_text())
    found["recall_by_group"][0]["why_no_value"] = {"mine": "metric mine: expected a value of its counts, found X"}
    (run_copy / "participation.json").write_text(json.dumps(found))
    text = report_of(run_copy, metrics=metric_table((), [raising, none])).text
    assert f"No value, my metric, of 1 of the {len(found['recall_by_group'])} groups: metric mine: expected" in text


def test_a_perplexity_of_a_run_that_diverged_is_a_word_with_its_reason(run_copy):
    counted = read_phone_counts(run_copy / "held_out.parquet")
    diverged = {**counted.counts, "loss-sum": 900.0 * counted.counts["tokens"]}
    write_phone_counts(run_copy / "held_out.parquet", PhoneCounts(counted.phones, diverged))
    change(run_copy / "summary.json", perplexity=math.exp(700))
    page = report_of(run_copy)
    assert "Perplexity has diverged: it is 1,000,000 or more" in page.text and "e+" not in page.text
    assert "perplexity diverged - - - -" in page.text


def test_a_run_that_is_not_finished_says_so(run_copy):
    text = (run_copy / "config.toml").read_text()
    (run_copy / "config.toml").write_text(text.replace("rounds = 3", "rounds = 30", 1))
    page = report_of(run_copy)
    assert "This run is not finished: 3 of 30 rounds are" in page.text
    assert f"scripts/simulate.py --resume {run_copy}" in page.text
    assert "to go on takes it again, and no round that is done" in page.text


def test_files_of_other_weights_are_not_shown(run_copy):
    change(run_copy / "summary.json", weights_sha256="0" * 64)
    page = report_of(run_copy)
    assert page.text.count("of other weights than the run's") == 2 and not page.all("mark")


def test_counts_of_another_measurement_give_no_interval(run_copy):
    change(run_copy / "summary.json", top1_recall=0.5)
    text = report_of(run_copy).text
    assert "of another measurement than summary.json" in text and "interval over people" not in text


def test_nothing_in_a_file_becomes_markup(run_copy):
    found = json.loads((run_copy / "participation.json").read_text())
    found["by_group"][0]["group"] = "<script>alert(1)</script>"
    found["by_group"][0]["grouping"] = "\"'><b>"
    (run_copy / "participation.json").write_text(json.dumps(found))
    change(run_copy / "summary.json", epsilon_is_of='" onload="alert(1)')
    page = report_of(run_copy)
    assert not page.all("script", "b") and not any("onload" in a for _, a, _ in page.elements)


def test_without_privacy_and_with_honest_noise(run_copy):
    stated = json.loads((run_copy / "privacy.json").read_text())
    stated["planned"]["modelled_cohort"] = None
    (run_copy / "privacy.json").write_text(json.dumps(stated))
    assert "What the files have: epsilon" in report_of(run_copy).text
    stated["spent"] |= {"epsilon": None, "delta": None, "zcdp_rho": None}
    (run_copy / "privacy.json").write_text(json.dumps({**stated, "statement": "No privacy mechanism was used"}))
    change(run_copy / "summary.json", epsilon=None)
    text = report_of(run_copy).text
    assert (
        "No privacy mechanism was used. They must not be shared as if private." in text
        and "What the files have" not in text
    )


def test_bit_for_bit_is_promised_only_where_the_noise_comes_again(run_copy):
    for source in ("seeded", None):
        change(run_copy / "summary.json", noise_source=source)
        assert "The same settings give the same weights, bit for bit, on processors" in report_of(run_copy).text
    change(run_copy / "summary.json", noise_source="secret")
    text = report_of(run_copy).text
    assert "The same settings give the same weights" not in text
    assert "This run had noise of its own" in text and "--privacy.noise-source seeded in both runs" in text


def test_a_report_that_cannot_be_written_is_one_line_and_loses_nothing(run_copy):
    (run_copy / "report.html").mkdir()  # in the way
    before = {path: path.read_bytes() for path in run_copy.rglob("*") if path.is_file()}
    config = read_config(run_copy / "config.toml")
    said = report_at_the_end(RunDirectory(run_copy), config, metric_table(), Export([]))
    reason, remedy = said
    assert reason.startswith(f"not written: {run_copy / 'report.html'}: expected a place that can be written, found ")
    assert remedy.endswith(f"scripts/report.py {run_copy}")
    assert {path: path.read_bytes() for path in run_copy.rglob("*") if path.is_file()} == before


def test_the_run_says_where_it_is(whole_run):
    printed = (whole_run.parent / "printed.txt").read_text()
    (row,) = [line for line in printed.splitlines() if line.strip().startswith("report ")]
    assert row.split()[-1] == str(whole_run / "report.html")


def test_people_of_the_page_are_those_of_the_table(whole_run, page):
    rows = json.loads((whole_run / "participation.json").read_text())["recall_by_group"]
    people = np.array([row["held_out_phones"] for row in rows if row["grouping"] == "device tier"])
    assert f"On {people.sum()} people" in page.text


@pytest.mark.parametrize("damage", ["{}", "no JSON"])
def test_a_damaged_privacy_statement_is_said_by_the_command_and_left_out_of_the_page(run_copy, monkeypatch, damage):
    monkeypatch.setattr("client_model.tflite.export_checks.measure_cost", lambda path: KeyPress(0.1, 0.2))
    report_of_folder(run_copy)
    (run_copy / "privacy.json").write_text(damage)
    with pytest.raises(ConfigError, match=r"privacy\.json(:1)?: expected .*; .*/report\.html leaves it out$"):
        report_of_folder(run_copy)
    assert "Left out: " in (run_copy / "report.html").read_text(encoding="utf-8")
