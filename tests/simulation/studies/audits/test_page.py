"""The page of an audit: its verdict, all that was found, what was not, and nothing that leads out of the file."""

import re
from dataclasses import replace
from html import unescape
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server_strategy.privacy.statement_audit import ReleaseAudit, Within
from simulation.config import RunConfig
from simulation.run.artefacts import artefact_of
from simulation.studies.audits.attack import BY_ITSELF
from simulation.studies.audits.audit import A_BOUND_FELL, Audit, settings_digest, verdict
from simulation.studies.audits.page import Bar, page_of, write_page
from simulation.studies.audits.table import ATTACKS
from tests.simulation.studies.audits.test_attack import attack

WITHIN = replace(attack(confidence=0.99), name="canaries: all releases")
ABOVE = replace(attack(low=2.5, value=3.0, high=3.5), name="canaries: last model")
NONE = replace(attack(bound=None), name="fairness: recall, <device> tier", why="best: high & low")
LACKING = replace(attack(value=None, low=None, high=None), name="words: sum", why="too few phones took part")
ALL = (WITHIN, ABOVE, NONE, LACKING)


def page(*attacks, **more):
    return page_of(Audit(3, False, "ab" * 32, attacks, "cd" * 32, **more), {})


@pytest.mark.parametrize(
    ("attacks", "fell", "said"),
    [
        ((WITHIN,), False, "No bound fell: the one figure held to a bound is within it."),
        ((WITHIN, NONE, LACKING), False, "No bound fell: the one figure held to a bound is within it."),
        ((WITHIN, replace(WITHIN, name="b")), False, "No bound fell: all 2 figures held to a bound are within it."),
        (ALL, True, "Failed: 1 of 2 figures held to a bound are above it: canaries: last model."),
        ((NONE,), False, "Nothing that was measured is held to a bound, so nothing could fail."),
        ((), False, "Nothing that was measured is held to a bound, so nothing could fail."),
    ],
)
def test_the_verdict_comes_first(attacks, fell, said):
    audit = Audit(0, False, None, attacks)
    assert verdict(audit) == (fell, said)
    text = page_of(audit, {})
    assert said in text and text.index(said) < text.index("<nav")
    bar = " above" if fell else " within" if said.startswith("No bound fell") else ""  # red, green, neither
    assert f'<div class="verdict{bar}" role' in text
    assert ("This keyboard failed its audit" in text) is fell


def test_every_figure_is_there_with_what_its_reader_has_to_know():
    text = page(*ALL)
    for one in (WITHIN, ABOVE, NONE):
        assert one.quantity in text and one.attacker in text and one.assumes in text and one.bound_is in text
    assert "&lt;device&gt; tier" in text and "<device>" not in text and "Best: high &amp; low." in text
    assert "3 (2.5 to 3.5)" in text and "99 % interval; at most 2" in text
    assert text.index("canaries: last model</th>") < text.index("canaries: all releases</th>"), "what fell is first"
    assert "<dt>words: sum</dt><dd>too few phones took part</dd>" in text


def test_what_holds_for_most_figures_of_an_attack_is_said_once_and_by_the_others_what_holds_for_them():
    most = [replace(WITHIN, name=f"canaries: {n}", sees="every release") for n in "abc"]
    other = replace(WITHIN, name="canaries: d", sees="the last model alone")
    text = unescape(page(*most, other))
    assert text.count("every release") == 1 and text.count("the last model alone") == 1
    assert "What they see, unless a figure says otherwise" in text and text.count("<dd>somebody</dd>") == 1
    assert "unless a figure" not in page(*most)
    assert page(most[0], other).count("the last model alone") == page(most[0], other).count("every release") == 1


def test_each_picture_is_a_file_of_a_run():
    figures = [known.figure for known in ATTACKS.values() if known.figure is not None]
    assert len(figures) >= 5 and all(artefact_of(PurePosixPath(one.file_name)) is not None for one in figures)


def test_what_was_not_carried_out_is_said():
    text = page(*ALL)
    for name in ATTACKS:
        assert (f"<dt>{name}</dt>" in text) is (name not in ("canaries", "fairness", "words"))
    of_settings = page_of(Audit(0, True, None, (WITHIN,)), {})
    assert "it needs a finished run" in of_settings and "A short audit" in of_settings
    assert "A short audit" not in text


def test_a_signer_reads_what_each_attack_means_and_what_to_do_about_a_fallen_bound():
    assert "What to do." in page(ABOVE) and A_BOUND_FELL in page(ABOVE) and A_BOUND_FELL not in page(WITHIN)
    for name, known in ATTACKS.items():
        assert known.means in unescape(page(replace(WITHIN, name=f"{name}: a"))), name
        assert known.means.endswith(".") and len(known.means) > 80, name


def test_a_signer_reads_at_the_top_that_the_claim_is_not_of_the_run():
    alone = replace(attack(bound=None), name=f"canaries: {BY_ITSELF}")
    said = "by itself it comes to epsilon"
    assert page(WITHIN, alone).index(said) < page(WITHIN, alone).index("<nav")
    assert said not in page(WITHIN) and said not in page(WITHIN, replace(alone, value=None, low=None, high=None))


def test_an_estimate_above_a_bound_that_holds_is_called_that():
    above = replace(attack(low=1.5, value=2.5, high=3.5), name="canaries: a")
    assert "by its low end alone" in page(above) and "by its low end alone" not in page(WITHIN, ABOVE)


def test_digests_and_a_place_to_sign_and_the_rule():
    audit = Audit(3, False, "ab" * 32, (WITHIN,), "cd" * 32)
    release = ReleaseAudit("ef" * 32, audit.sha256, False, (Within(WITHIN.name, 2.0, True),))
    bare, held = page_of(audit, {}), page_of(replace(audit, release=release), {})
    for text in (bare, held):
        assert all(digest in text for digest in ("ab" * 32, "cd" * 32, audit.sha256)) and "Signature</div>" in text
    assert "ef" * 32 in held and "its one limit is kept" in held and "no release has been held to a rule" in bare


def test_it_needs_nothing_else_and_runs_nothing(tmp_path):
    picture = tmp_path / "words_told.png"
    picture.write_bytes(b"\x89PNG")
    told = replace(LACKING, name="words: a", value=1.0, details={"told": [], "secret": "my locker"})
    path = write_page(tmp_path, Audit(0, False, None, (told, *ALL)))
    text = path.read_text()
    assert path.stat().st_mode & 0o077 == 0 and path.name == "audit.html"
    assert "<script" not in text and not re.findall(r'(?:src|href)="(?!data:|#)', text) and "url(" not in text
    assert 'src="data:image/png;base64,iVBORw==' in text and "my locker" not in text, "details are not on the page"
    write_page(tmp_path, Audit(0, False, None, (WITHIN, replace(told, details={}))))
    assert "data:image" not in path.read_text(), "a picture that an earlier audit left is not of this one"
    anchors = re.findall(r'href="#([^"]+)"', text)
    assert anchors and all(f'id="{anchor}"' in text for anchor in anchors)


ends = st.floats(0, 1e6) | st.none()


@given(st.floats(-10, 1e6), ends, ends, ends)
def test_a_bar_stays_in_its_room_and_has_everything_in_order(value, low, high, bound):
    low = None if low is None else min(low, value)
    high = None if high is None else max(high, value)
    bar = Bar.of(attack(value, low, high, bound))
    places = [bar.begin, bar.value, bar.begin + bar.width, 0 if bar.bound is None else bar.bound]
    assert all(0 <= place <= 100 for place in places) and bar.width >= -1e-9
    assert bar.begin <= bar.value + 0.01 and bar.begin + bar.width >= bar.value - 0.01
    if bound is not None and bound > max(value, 0):
        assert bar.bound >= bar.value - 0.01


def test_a_digest_of_settings_tells_no_seed_and_no_place(tmp_path):
    config = RunConfig()
    assert settings_digest(config) == settings_digest(replace(config, seed=5, output_dir=tmp_path))
    assert settings_digest(config) != settings_digest(replace(config, rounds=config.rounds + 1))
