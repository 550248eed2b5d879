"""The audit counts what is there, each figure as an independent count has it, and tells no word."""

import json
import re
import sys
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from client_model.config import DataConfig
from client_model.text.formats.base import DataError
from client_model.text.personal.kinds import Kind
from client_model.text.personal.scanner import Scanner
from client_model.text.population import read_text
from client_model.text.vocabulary import tokenize
from simulation.studies.data_audit import duplicates
from simulation.studies.data_audit.audit import audit_text
from simulation.studies.data_audit.inequality import lone_words, spread
from simulation.studies.data_audit.labelled_sample import labelled_sample
from simulation.studies.data_audit.languages import PhonesTexts
from simulation.studies.data_audit.report import write_report
from simulation.studies.data_audit.scanner_check import Share, check_scanner
from typefleet.errors import ConfigError

CHAIN = "zappelig foxtrot jumbled over quagmire lazily before breakfast"
ROWS = (
    ("u1", "zebra mail kim@example.com"),
    ("u1", "zebra kim@example.com or www.example.org"),
    ("u2", CHAIN),
    ("u3", CHAIN + " today"),
    ("u3", CHAIN.upper() + "!"),
    ("u3", "quince quince quince"),
)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "data.jsonl"
    path.write_text("".join(json.dumps({"user_id": user, "text": text}) + "\n" for user, text in ROWS))
    return path


def test_each_figure_is_what_is_in_the_file(path):
    audit = audit_text(DataConfig(path=path))
    by_kind = {one.kind: one for one in audit.personal}
    mail, host = by_kind[Kind.EMAIL], by_kind[Kind.HOST]
    assert (mail.places, mail.messages, mail.phones) == (2, 2, 1) and (host.places, host.messages, host.phones) == (
        1,
        1,
        1,
    )
    assert (audit.redactable.messages, audit.redactable.phones, audit.redactable.message_share) == (2, 1, 2 / 6)
    tokens = [len(tokenize(text)) for _, text in ROWS]
    assert (audit.messages, audit.phones, audit.tokens) == (6, 3, sum(tokens))
    assert audit.redactable.token_share == sum(tokens[:2]) / sum(tokens)
    assert (audit.duplicates.compared, audit.duplicates.on_another_phone) == (5, 3 / 5)  # the long ones
    assert audit.duplicates.on_same_phone == 2 / 5
    assert audit.toxic_words is None and audit.toxic_words_why and not audit.is_dated


def test_no_word_of_the_text_is_in_the_report(path, tmp_path, script_here):
    done = script_here("audit_data.py", path, "--report-dir", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    pages = [done.stdout, *((tmp_path / "out" / name).read_text() for name in ("data_audit.html", "data_audit.json"))]
    written = {word for _, text in ROWS for word in tokenize(text) if len(word) > 2} - {
        "over",
        "before",
        "mail",
        "com",
        "org",
    }
    for page in pages:
        assert "3 phones" in page or '"phones": 3' in page
        assert not written & set(re.findall(r"\w+", page.lower()))
    assert (tmp_path / "out" / "data_audit.json").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["none.jsonl"], "none.jsonl: expected a file of messages, found no such file or directory"),
        (["--data.format", "synthetic"], "--data.format: expected a format of files, whose text can be looked at"),
        (["--rounds", "3"], "--rounds: expected only for a run that trains, found it for one that does not"),
        (["x", "--data.path", "y"], "the text: expected DATA or --data.path, found both"),
        (["x", "--check-scanner"], "--check-scanner: expected no text"),
        (["x", "--data.keep-days", "3"], "--data.keep-days: expected only for a run that trains, found it for one"),
        (["x", "--data.keep-messages", "3"], "--data.keep-messages: expected only for a run that trains"),
        (["x", "--data.keep-tokens", "3"], "--data.keep-tokens: expected only for a run that trains"),
        (["--data.time-column", "t"], "--data.time-column: expected only with --data.path and a format that names"),
    ],
)
def test_bad_input_is_one_line(arguments, said, script_here, tmp_path):
    done = script_here("audit_data.py", *arguments, cwd=tmp_path)
    assert done.returncode == 2 and done.stderr.startswith(f"error: {said}") and done.stderr.count("\n") == 1
    assert not (tmp_path / "data_audit").exists()


def test_the_columns_are_those_of_the_text_however_it_is_named(tmp_path, script_here):
    path = tmp_path / "m.csv"
    path.write_text("who,what,when\nu1,later,2026-01-02\nu1,first,2026-01-01\n")
    columns = ("--data.user-column", "who", "--data.text-column", "what", "--data.time-column", "when")
    for named in ((path,), ("--data.path", path)):
        done = script_here("audit_data.py", *named, *columns, "--report-dir", tmp_path / "out")
        assert done.returncode == 0, done.stderr
        assert json.loads((tmp_path / "out" / "data_audit.json").read_text())["is_dated"]


def test_a_text_that_is_marked_for_other_purposes_is_not_looked_at(path):
    path.with_name("data.jsonl.purpose").write_text("spelling\nresearch\n")
    with pytest.raises(DataError, match=r"^--data.purpose: expected one that .*data.jsonl.purpose names"):
        audit_text(DataConfig(path=path))
    assert audit_text(DataConfig(path=path, purpose="spelling")).messages == len(ROWS)


def test_a_folder_that_cannot_be_made_is_named_by_its_flag(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "py3langid", None)
    with pytest.raises(ConfigError, match=r"^--report-dir: "):
        write_report(path, audit_text(DataConfig(path=path)))


def test_a_package_that_is_not_there_makes_none_of_a_count_and_says_why(path, monkeypatch):
    for package in ("phonenumbers", "py3langid"):
        monkeypatch.setitem(sys.modules, package, None)
    audit = audit_text(DataConfig(path=path))
    (telephone,) = (one for one in audit.personal if one.kind is Kind.TELEPHONE)
    assert telephone.places is None and telephone.phones is None and "not looked for" in telephone.why
    assert audit.languages.by_language is None and "py3langid" in audit.languages.why


def test_the_languages_are_those_of_the_phones_that_are_kept(monkeypatch):
    pytest.importorskip("py3langid")
    from client_model.text.formats.base import Message

    texts = {
        "en": "hello there how are you doing this morning my friend",
        "fr": "bonjour comment allez vous ce matin mon cher ami de toujours",
    }
    kept = PhonesTexts()
    for phone in range(6):
        kept.see(Message(f"p{phone}", texts["en" if phone < 4 else "fr"]))
    kept.see(Message("short", "ok"))
    assert kept.languages().by_language == (("en", 4), ("fr", 2)) and kept.languages().phones == 6
    some = PhonesTexts(most=3)
    for phone in range(40):
        some.see(Message(f"p{phone}", texts["en"]))
    assert some.languages().phones == 3


# Independent counts ------------------------------------------------------------------------------------


def similarity(a, b):
    pairs = [set(zip(words, words[1:], strict=False)) for words in (a, b)]
    return len(pairs[0] & pairs[1]) / len(pairs[0] | pairs[1])


def test_near_duplicates_are_those_that_comparing_all_pairs_finds(tmp_path):
    rng = np.random.default_rng(3)
    base = [rng.integers(0, 400, 14) for _ in range(60)]
    messages = []
    for place, words in enumerate([*base, *base[:30]]):
        changed = words.copy()
        if place >= 60 and place % 3:  # the last word of some copies, and all of others, are other ones
            changed[-1 if place % 3 == 1 else slice(None)] = 1000 + place
        messages.append((f"u{rng.integers(4)}", [f"w{word}" for word in changed]))
    path = tmp_path / "m.jsonl"
    path.write_text("".join(json.dumps({"user_id": u, "text": " ".join(words)}) + "\n" for u, words in messages))
    found = duplicates.near_duplicates(read_text(DataConfig(path=path), lambda _: None))
    same, another = set(), set()
    for (i, (u, a)), (j, (v, b)) in combinations(enumerate(messages), 2):
        if similarity(a, b) > 0.8:
            (same if u == v else another).update((i, j))
    assert (found.on_same_phone, found.on_another_phone) == (len(same) / 90, len(another) / 90)
    some = duplicates.near_duplicates(read_text(DataConfig(path=path), lambda _: None), most=40)
    assert (some.compared, some.long_enough) == (40, 90)


@settings(max_examples=40)
@given(st.lists(st.integers(1, 1000), min_size=1, max_size=30))
def test_gini_is_half_the_mean_difference_of_two_phones_over_the_mean(amounts):
    found = spread(np.array(amounts, np.int64))
    difference = np.mean([abs(a - b) for a in amounts for b in amounts])
    assert found.gini == pytest.approx(difference / 2 / np.mean(amounts), abs=1e-12)
    assert found.largest_share == max(amounts) / sum(amounts) and found.median == np.median(amounts)
    assert found.top_shares[1] == sum(sorted(amounts)[-max(round(len(amounts) / 10), 1) :]) / sum(amounts)


def test_words_of_one_phone_are_those_that_no_other_wrote(path):
    found = lone_words(read_text(DataConfig(path=path), lambda _: None))
    of_phone = {}
    for user, text in ROWS:
        of_phone.setdefault(user, []).extend(word for word in tokenize(text) if word[0].isalnum())
    words = [word for own in of_phone.values() for word in own]
    lone = {user: {w for w in own if sum(w in o for o in of_phone.values()) == 1} for user, own in of_phone.items()}
    assert (found.distinct, found.lone) == (len(set(words)), sum(map(len, lone.values())))
    assert found.lone_share_of_text == sum(w in lone[u] for u, own in of_phone.items() for w in own) / len(words)
    assert found.phones_with_lone == sum(map(bool, lone.values()))


# The labelled sample -----------------------------------------------------------------------------------


def test_the_sample_is_the_same_for_a_seed_and_its_labels_are_where_it_says():
    sample = labelled_sample(300, 4)
    assert sample == labelled_sample(300, 4) != labelled_sample(300, 5)
    kinds = [one.label.kind for one in sample if one.label is not None]
    assert set(kinds) == set(Kind) and 0.55 < len(kinds) / 300 < 0.8
    mails = [one for one in sample if one.label is not None and one.label.kind is Kind.EMAIL]
    assert all(re.search(r"@| at ", one.text[one.label.begin : one.label.end]) for one in mails)


def test_the_scanner_finds_most_of_each_form_and_is_measured_against_its_labels():
    looked_for = [Kind.CARD, Kind.EMAIL, Kind.IBAN, Kind.NATIONAL_ID]
    checks = {one.kind: one for one in check_scanner(Scanner((), looked_for), 1_000, 0)}
    assert checks[Kind.CARD].precision.value > 0.9 and checks[Kind.CARD].recall.value > 0.95
    assert 0.8 < checks[Kind.EMAIL].recall.value < 1  # some are written to be missed
    assert checks[Kind.HOST].recall.value == 0 and checks[Kind.HOST].precision.value is None


@pytest.mark.parametrize(("some", "of"), [(0, 10), (10, 10), (3, 17), (499, 500)])
def test_the_interval_is_that_of_clopper_and_pearson(some, of):
    share, exact = Share.counted(some, of), stats.binomtest(some, of).proportion_ci(0.95, "exact")
    assert (share.low, share.high) == pytest.approx((exact.low, exact.high), abs=1e-9)
