"""A run that forgets phones is, bit for bit, one in which they never came, whatever its noise and its rounds."""

import io
import json
import re
import shutil

import numpy as np
import pytest

from client_model.text.population import PopulationSpec, phones_with_text_of
from client_model.text.synthetic_text import SyntheticPopulation
from client_model.text.tokenising import user_digest
from server_strategy.privacy.account_lines import AccountError
from server_strategy.privacy.protected_sum import ProtectedSum
from simulation.engine.phone_host import host_for
from simulation.flags import parse_simulate, read_config
from simulation.run.accepted_input import accept_input
from simulation.run.checkpoint import load_newest_checkpoint, whole_checkpoint
from simulation.run.forgotten import Request, read_requests, record_request
from simulation.run.held_out_phones import read_phone_counts
from simulation.run.lock import RunInUseError, only_writer
from simulation.run.preparation import prepare
from simulation.storage.deletion_log import read_log
from simulation.studies.forgetting.forget import drop_cache
from simulation.studies.privacy_check import checked
from tests.conftest import ROOT
from tests.simulation.run.forgotten_runs import (
    PHONES,
    SMALL,
    first_rounds,
    forgotten,
    ledger,
    made_up,
    simulate,
    weights_of,
    who,
)
from tests.simulation.storage.encrypted_run import DIGITS, key_file, write_messages
from typefleet.errors import ConfigError

NOISE = {
    "none": (),
    "gaussian": (),
    "discrete": ("--privacy.sampler", "discrete"),
    "adaptive": ("--privacy.clip-quantile", 0.5),
    "tree": (),
    "banded": (),
    "blt": (),
}


@pytest.fixture(autouse=True)
def _no_training(monkeypatch):
    spare_work(monkeypatch)


def spare_work(patch):
    """No training, and a statement at the end alone instead of one after each round."""
    patch.setattr("simulation.engine.client_app.trained_phones", made_up)
    patch.setattr("simulation.runner.write_outcome", lambda run: None)


def flags_of(noise, policy="synchronous", *more):
    flags = list(SMALL)
    mechanism = {"discrete": "gaussian", "adaptive": "gaussian"}.get(noise, noise)
    if noise == "none":
        flags = without(flags, "--privacy.noise-multiplier", "--privacy.modelled-cohort", "--privacy.noise-source")
    return (*flags, "--privacy.mechanism", mechanism, *NOISE[noise], "--cohort.policy", policy, *more)


def without(flags, *names):
    given = [flags[at - 1] in names or flag in names for at, flag in enumerate(flags)]
    return [flag for flag, is_one in zip(flags, given, strict=True) if not is_one]


def late(folder, after=3):
    """Numbers of two phones that first took part after a round, the earlier first; and that round of the first."""
    found = sorted((first, phone) for phone, first in first_rounds(folder).items() if first >= after)
    return [phone for _, phone in found[:2]], found[0][0]


CASES = zip(
    NOISE, ("synchronous", "buffered", "deadline", "synchronous", "buffered", "deadline", "buffered"), strict=True
)


@pytest.mark.parametrize(("noise", "policy"), CASES)
def test_it_is_a_run_in_which_they_never_came(noise, policy, tmp_path):
    flags = flags_of(noise, policy)
    simulate(tmp_path / "a", *flags)
    before, was = ledger(tmp_path / "a"), weights_of(tmp_path / "a")
    phones, first = late(tmp_path / "a")
    names = [f"#{phone}" for phone in phones]
    stopped_before(tmp_path / "a", tmp_path / "b", first)
    said = forgotten(tmp_path / "a", *names)
    forgotten(tmp_path / "b", ",".join(names))
    assert (weights_of(tmp_path / "a") == weights_of(tmp_path / "b")).all()
    assert (weights_of(tmp_path / "a") != was).any()
    lines = ledger(tmp_path / "a")
    assert lines[: len(before)] == before and not who(tmp_path / "a", len(before)) & set(phones)
    assert f"first in round {first}" in said and lines[len(before)]["round"] < first
    state = load_newest_checkpoint(tmp_path / "a" / "checkpoints")[0].state
    assert not state["strategy"]["participation"]["counts"][phones].any()


def stopped_before(run, folder, server_round):
    """A run's folder as it was before a round, had the run been stopped then."""
    shutil.copytree(run, folder)
    for name in (
        "model/weights.npz",
        "participation.json",
        "held_out.parquet",
        "privacy_head.json",
        "summary.json",
        "privacy.json",
    ):
        (folder / name).unlink(missing_ok=True)
    for path in (folder / "checkpoints").iterdir():
        if int(path.stem.rpartition("-")[2]) >= server_round:
            path.unlink()
    for name in ("rounds.jsonl", "privacy_ledger.jsonl"):
        lines = (folder / name).read_text().splitlines(keepends=True)
        (folder / name).write_text("".join(one for one in lines if json.loads(one).get("round", 0) < server_round))


def test_it_is_the_run_of_people_who_never_agreed(tmp_path):
    """From its beginning, words and all, against consents that were never given."""
    flags = (*flags_of("none"), "--data.vocabulary-phones", PHONES)
    simulate(tmp_path / "a", *flags)
    first = first_rounds(tmp_path / "a")
    gone = sorted(first, key=first.get)[:3]
    said = forgotten(tmp_path / "a", *(f"#{phone}" for phone in gone))
    assert "its beginning" in said and "were counted with these phones' text" in said
    names = [f"#{n}" for n in range(PHONES) if n not in gone]
    rows = [f"{name},{purpose},-1,given" for name in names for purpose in ("train", "evaluate", "telemetry")]
    (tmp_path / "said.csv").write_text("\n".join(["phone,purpose,time_s,consent", *rows]) + "\n")
    simulate(tmp_path / "b", *flags, "--consent.path", tmp_path / "said.csv")
    assert (weights_of(tmp_path / "a") == weights_of(tmp_path / "b")).all()
    assert (tmp_path / "a/model/vocab.txt").read_text() == (tmp_path / "b/model/vocab.txt").read_text()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """(folder of a run with shared noise, two of its phones, what forgetting them in one go comes to)."""
    with pytest.MonkeyPatch.context() as patch:
        spare_work(patch)
        root = tmp_path_factory.mktemp("going back")
        simulate(root / "run", *flags_of("tree"))
        names = [f"#{phone}" for phone in late(root / "run")[0]]
        shutil.copytree(root / "run", root / "done")
        forgotten(root / "done", *names)
    return root / "run", names, root / "done"


KILLED = ("on_record", "life_begun", "saved", "cleared", "a_round_later")


@pytest.mark.parametrize("killed", KILLED)
def test_a_run_that_is_killed_meanwhile_goes_on_without_them(finished, killed, tmp_path, monkeypatch):
    run, names, done = finished
    folder = shutil.copytree(run, tmp_path / "run")
    with monkeypatch.context() as patch:
        stop = KilledError(killed)
        places = {
            "on_record": "tests.simulation.run.forgotten_runs.played_on",
            "life_begun": "simulation.run.going_back.drop_what_was_made",
            "saved": "simulation.run.going_back.leave_no_other",
            "cleared": "simulation.runner.write_outcome",
            "a_round_later": "simulation.runner.write_outcome",
        }
        calls = iter([False, True] if killed == "a_round_later" else [True])

        def kill(*args, **kwargs):
            if next(calls):
                raise stop

        patch.setattr(places[killed], kill)
        with pytest.raises(KilledError):
            forgotten(folder, *names)
    assert len(read_requests(folder)) == 1
    if killed in ("saved", "cleared"):
        forgotten(folder, *names)  # the same command
    else:
        simulate(folder, resume=True)
    assert (weights_of(folder) == weights_of(done)).all()
    assert sorted(p.name for p in folder.rglob("*")) == sorted(p.name for p in done.rglob("*"))
    assert sum("forgotten" in line for line in ledger(folder)) == 1 and len(read_requests(folder)) == 1
    before = all_but_the_trail(folder)
    assert "is finished" in forgotten(folder, *names[::-1])  # and once more changes nothing
    assert all_but_the_trail(folder) == before


def all_but_the_trail(folder):
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name != "audit_trail.jsonl"}


class KilledError(Exception):
    pass


def test_nothing_of_the_phones_is_left_but_in_the_ledger(finished):
    run, names, done = finished
    numbers = [int(name[1:]) for name in names]
    for path in sorted((done / "checkpoints").iterdir()):
        state = whole_checkpoint(path).state
        diary = state["world"]["timeline"]["diary"]
        assert not diary["free_from_s"][numbers].any() and (diary["local_day"][numbers] == -1).all()
        assert not state["strategy"]["participation"]["counts"][numbers].any()
        assert not state["tokens_by_phone"][numbers].any()
    digests = SyntheticPopulation(0, PHONES).digests()
    text = (done / "forgotten.jsonl").read_text()
    assert not any(str(int(digests[n])) in text or f"{int(digests[n]):x}" in text for n in numbers)
    assert "## Forgotten phones" in (done / "privacy.md").read_text()
    found, findings = checked(done)
    assert findings.wrongs == [] and found.statement["forgotten"]["times"] == 1
    made = len(ledger(run)) - ledger(done)[len(ledger(run))]["release"]
    assert found.statement["forgotten"]["earlier_releases"] == made


def test_labels_are_read_from_a_ledger_that_went_back_as_the_documentation_does(finished, capsys):
    page = (ROOT / "docs" / "privacy.md").read_text(encoding="utf-8")
    program = re.search(r"```python\n(import base64.*?)```", page, re.DOTALL)[1].replace("RUN_DIR", str(finished[2]))
    exec(compile(program, "privacy.md", "exec"), {})
    printed, lines = capsys.readouterr().out.splitlines(), ledger(finished[2])
    assert [len(one.split()) - 2 for one in printed] == [one.get("reports", 0) for one in lines]


@pytest.mark.parametrize("change", ["record", "another", "times", "line"])
def test_what_is_said_of_forgotten_phones_is_held_to_their_record(finished, change, tmp_path):
    folder = shutil.copytree(finished[2], tmp_path / "run")
    if change == "record":
        (folder / "forgotten.jsonl").unlink()
    elif change == "another":
        put_another_record(folder)
    elif change == "times":
        says = json.loads((folder / "privacy.json").read_text())
        says["facts"]["forgotten"]["earlier_releases"] += 1
        (folder / "privacy.json").write_text(json.dumps(says))
    else:
        text = (folder / "forgotten.jsonl").read_text()
        (folder / "forgotten.jsonl").write_text(text.replace('"at": "20', '"at": "19'))
    _, findings = checked(folder)
    assert any("forgotten" in one.place for one in findings.wrongs)


def put_another_record(folder):
    (folder / "forgotten.jsonl").unlink()
    record_request(folder, request_for(0))


def request_for(*phones):
    return Request.of(SyntheticPopulation(0, PHONES).digests()[list(phones)])


@pytest.mark.parametrize("what", ["gone", "another"])
def test_a_run_is_not_opened_with_another_record_than_it_went_on_by(finished, what, tmp_path):
    folder = shutil.copytree(finished[2], tmp_path / "run")
    if what == "gone":
        (folder / "forgotten.jsonl").unlink()
    else:
        put_another_record(folder)
    with pytest.raises(ConfigError, match=r"forgotten\.jsonl: expected the record .* went on by, with 1 or more lines"):
        simulate(folder, resume=True)
    for path in (folder / "checkpoints").iterdir():  # nor by what the ledger says alone
        if int(path.stem.rpartition("-")[2]):
            path.unlink()
    with pytest.raises(ConfigError, match=r"forgotten\.jsonl: expected the record"):
        simulate(folder, resume=True)


def test_each_time_it_goes_back_for_the_same_request_its_noise_is_another(tmp_path, monkeypatch):
    made, release = [], ProtectedSum.release

    def watched(self, total, *rest):
        before, out = np.array(total, float), release(self, total, *rest)
        made.append((self.releases, before, out - before))
        return out

    monkeypatch.setattr(ProtectedSum, "release", watched)
    folder = tmp_path / "run"
    simulate(folder, *flags_of("gaussian"), "--engine.checkpoint-every-rounds", 2, "--rounds", 8)
    first, phone = next(one for one in sorted((n, phone) for phone, n in first_rounds(folder).items()) if one[0] >= 6)
    record_request(folder, request_for(phone))
    made.clear()
    simulate(folder, resume=True, stop_after=first)
    one = {release: (total, noise) for release, total, noise in made}
    fork = ledger(folder)[8]["round"]
    for path in (folder / "checkpoints").iterdir():  # all of this life are damaged
        if int(path.stem.rpartition("-")[2]) >= fork:
            path.write_bytes(path.read_bytes()[:-200])
    made.clear()
    simulate(folder, resume=True)
    two = {release: (total, noise) for release, total, noise in made}
    again = one.keys() & two.keys()
    assert again and sum("forgotten" in line for line in ledger(folder)) == 2
    for number in again:
        (total, noise), (other, fresh) = one[number], two[number]
        assert not np.array_equal(total, other) and np.abs(noise - fresh).max() > 0.1 * np.abs(noise).max()


def test_an_account_without_room_for_both_lives_leaves_a_run_as_it_is(tmp_path):
    flags = [*flags_of("gaussian"), "--privacy.account", tmp_path / "account.jsonl"]
    flags[flags.index("--privacy.noise-source") + 1] = "secret"
    folder = tmp_path / "run"
    simulate(folder, *flags, "--privacy.total-epsilon", 9)
    phones, _ = late(folder)
    before = all_but_the_trail(folder)
    names, no_room = [f"#{phone}" for phone in phones], r"--privacy\.total-epsilon: .*expected a run of at most rho"
    assert "does not let it go back" in forgotten(folder, *names, dry_run=True)
    with pytest.raises(AccountError, match=no_room):
        forgotten(folder, *names)
    assert all_but_the_trail(folder) == before
    record_request(folder, request_for(*phones))  # while others were charged meanwhile
    account = (tmp_path / "account.jsonl").read_bytes()
    with pytest.raises(AccountError, match=no_room):
        simulate(folder, resume=True)
    left = all_but_the_trail(folder)
    assert before.items() <= left.items() and (tmp_path / "account.jsonl").read_bytes() == account


@pytest.mark.parametrize("noise", ["gaussian", "blt"])
def test_secret_noise_is_of_a_new_secret(noise, tmp_path):
    flags = [*flags_of(noise)]
    flags[flags.index("--privacy.noise-source") + 1] = "secret"
    simulate(tmp_path / "a", *flags)
    phones, first = late(tmp_path / "a")
    before = ledger(tmp_path / "a")
    forgotten(tmp_path / "a", *(f"#{phone}" for phone in phones))
    assert not (tmp_path / "a" / "noise_secret").exists()
    lines = ledger(tmp_path / "a")[len(before) :]
    # Independent noise goes on from any checkpoint; of noise that is shared, nothing is left to go on from.
    assert lines[0]["round"] == (first - 1 if noise == "gaussian" else 0)
    old, new = (next(one for one in some if one["release"] == lines[0]["release"] + 1) for some in (before, lines[1:]))
    same = old["participants"] == new["participants"]
    assert (old["sum_digest"] == new["sum_digest"]) == same and old["weights_sha256"] != new["weights_sha256"]
    assert checked(tmp_path / "a")[1].wrongs == []


def test_phones_that_never_took_part_leave_the_model_as_it_is(finished, tmp_path):
    run, _, _ = finished
    folder = shutil.copytree(run, tmp_path / "run")
    never = sorted(set(range(PHONES)) - set(first_rounds(folder)))
    held_out = [int(n) for n in read_phone_counts(folder / "held_out.parquet").phones]
    weights, lines = weights_of(folder), ledger(folder)
    said = forgotten(folder, f"#{never[0]}", f"#{held_out[0]}")
    assert "the model stays as it is" in said
    assert (weights_of(folder) == weights).all() and ledger(folder) == lines
    assert held_out[0] not in read_phone_counts(folder / "held_out.parquet").phones
    assert checked(folder)[1].wrongs == []


def test_words_that_were_drawn_with_noise_are_not_changed(finished, tmp_path):
    folder = shutil.copytree(finished[0], tmp_path / "run")
    words = (folder / "model" / "vocab.txt").read_text().splitlines()
    (folder / "model" / "vocab.txt").write_text("".join(f"{word}\n" for word in words[:-1]))
    with pytest.raises(ConfigError, match="expected the settings, the text and the trace"):
        forgotten(folder, *finished[1])


def test_a_run_that_starts_from_it_is_without_them(finished, tmp_path):
    run, names, done = finished
    flags = flags_of("gaussian", "synchronous", "--model.init", done)
    simulate(tmp_path / "next", *without(flags, "--model.vocabulary-size", "--data.vocabulary-phones"))
    numbers = {int(name[1:]) for name in names}
    assert numbers <= who(run, 0)  # whose world is the same: there they come
    assert not numbers & who(tmp_path / "next", 0)
    (request,) = read_requests(tmp_path / "next")
    assert request.taken_over and request.salt == read_requests(done)[0].salt
    copy = shutil.copytree(tmp_path / "next", tmp_path / "copy")
    (copy / "forgotten.jsonl").unlink()
    with pytest.raises(ConfigError, match=r"forgotten\.jsonl: expected the record of phones to forget .* found none"):
        simulate(copy, resume=True)
    page = " ".join((tmp_path / "next" / "privacy.md").read_text().split())
    assert "2 phones were taken out" in page and "at most 2 had been forgotten by a run" in page
    killed_as_it_began(tmp_path / "next")
    simulate(tmp_path / "next", resume=True)
    assert not numbers & who(tmp_path / "next", 0) and len(read_requests(tmp_path / "next")) == 1


def killed_as_it_began(folder):
    """A run as it was before it had taken over the record of the one that it starts from."""
    for path in (folder / "checkpoints").iterdir():
        path.unlink()
    for name in ("forgotten.jsonl", "rounds.jsonl", "rounds.parquet", "privacy_ledger.jsonl", "privacy.json"):
        (folder / name).unlink(missing_ok=True)


@pytest.mark.parametrize("told_by", ["ledger", "statement", "checkpoint"])
def test_nothing_starts_from_a_run_whose_record_is_gone(finished, told_by, tmp_path):
    """What the run was told to forget would be trained on, and nothing say so."""
    folder = shutil.copytree(finished[2], tmp_path / "run")
    (folder / "forgotten.jsonl").unlink()
    for name, by in (("privacy_ledger.jsonl", "ledger"), ("privacy.json", "statement")):
        if by != told_by:
            (folder / name).unlink()
    flags = flags_of("none", "synchronous", "--model.init", folder, "--output-dir", tmp_path / "next")
    flags = without(flags, "--model.vocabulary-size", "--data.vocabulary-phones")
    with pytest.raises(ConfigError, match=r"run/forgotten\.jsonl: expected the record of phones .* found none$"):
        accept_input(parse_simulate(tuple(map(str, flags))).run)
    config = read_config(folder / "config.toml")
    with pytest.raises(ConfigError, match=r"run/forgotten\.jsonl: expected the record of phones .* found none$"):
        accept_input(config, of_run=folder)


def test_a_dry_run_says_what_it_takes_and_changes_nothing(finished, tmp_path):
    run, names, _ = finished
    folder = shutil.copytree(run, tmp_path / "run")
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    said = forgotten(folder, *names, dry_run=True)
    assert f"{len(names)} of {PHONES}" in said and "spent by now, at most" in said and "for the second time" in said
    assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before


def test_a_budget_without_room_for_both_lives_is_kept_to(tmp_path):
    flags = without(flags_of("gaussian"), "--privacy.noise-multiplier")
    simulate(tmp_path / "run", *flags, "--privacy.target-epsilon", 8)
    phones, _ = late(tmp_path / "run")
    names, before = [f"#{phone}" for phone in phones], ledger(tmp_path / "run")
    with pytest.raises(ConfigError, match=r"expected room for what was released and what is to be .* --ends-early"):
        forgotten(tmp_path / "run", *names)
    assert ledger(tmp_path / "run") == before and not (tmp_path / "run" / "forgotten.jsonl").exists()
    forgotten(tmp_path / "run", *names, ends_early=True)
    said = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert said["epsilon"] <= 8 and "privacy budget" in said["stopped_early"]
    assert checked(tmp_path / "run")[1].wrongs == []


def test_a_run_that_a_process_works_on_is_left_alone(finished, tmp_path):
    folder = shutil.copytree(finished[0], tmp_path / "run")
    with only_writer(folder), pytest.raises(RunInUseError):
        forgotten(folder, *finished[1])
    assert not (folder / "forgotten.jsonl").exists()
    with pytest.raises(ConfigError, match=r"--cohort\.goal: expected "):  # nor is one begun that could not go on
        forgotten(folder, *(f"#{phone}" for phone in range(PHONES - 3)))
    assert not (folder / "forgotten.jsonl").exists()


def test_two_that_forget_at_once_are_not_both_told_that_there_is_room(finished, tmp_path, monkeypatch):
    """Each has worked out what its own request takes; the second one's is another by then."""
    folder = shutil.copytree(finished[0], tmp_path / "run")
    meanwhile = "simulation.studies.forgetting.forget.print_forecast"
    monkeypatch.setattr(meanwhile, lambda *_: record_request(folder, request_for(0)))
    with pytest.raises(ConfigError, match=r"forgotten\.jsonl: expected the record that .* call this again"):
        forgotten(folder, *finished[1])
    assert len(read_requests(folder)) == 1


@pytest.mark.parametrize("names", [["nobody-of-that-name"], ["#9999"], [","], ["a\nb"]])
def test_nobody_is_forgotten_by_mistake(finished, names, tmp_path):
    with pytest.raises(ConfigError) as raised:
        forgotten(finished[0], *names, dry_run=True)
    said = str(raised.value)
    assert said.startswith("--phones: expected") and "\n" not in said and "nobody-of" not in said
    file = tmp_path / "names.txt"
    file.write_text("#1\n\nnobody-of-that-name\n")
    with pytest.raises(ConfigError, match=r"names\.txt:3: expected") as raised:
        forgotten(finished[0], file, dry_run=True)
    assert "nobody-of" not in str(raised.value)


def test_text_that_is_encrypted_goes_with_its_key(tmp_path):
    messages = write_messages(tmp_path / "m.jsonl")
    key = key_file(tmp_path / "key", DIGITS)
    text = ("--data.path", messages, "--data.cache-dir", tmp_path / "cache", "--storage.key", key)
    flags = without(flags_of("gaussian"), "--data.format", "--fleet.size")
    flags[flags.index("--privacy.noise-source") + 1] = "secret"
    simulate(tmp_path / "run", *flags, *text, "--privacy.account", tmp_path / "account.jsonl")
    (entry,) = (path for path in (tmp_path / "cache").iterdir() if path.is_dir())
    spent = json.loads((tmp_path / "run/summary.json").read_text())["epsilon"]
    said = forgotten(tmp_path / "run", "user3", "user8")
    assert "2 of 40" in said and "stays, since a process reads it" in said  # the hosts are in this process
    host_for.cache_clear()
    out = io.StringIO()
    drop_cache(out, PopulationSpec(0, 40, str(entry)))
    assert "erased; it is made anew" in out.getvalue() and not entry.exists()
    ((deletion, _),) = read_log(tmp_path / "cache")
    assert deletion.what == f"{entry.name}/" and deletion.category == "forget" and deletion.key_erased
    assert "user3" not in (tmp_path / "run/forgotten.jsonl").read_text()
    after = json.loads((tmp_path / "run/summary.json").read_text())
    assert after["epsilon"] > spent and after["other_runs"]["account"]["epsilon"] >= after["epsilon"]
    assert checked(tmp_path / "run")[1].wrongs == []


def test_further_phones_with_text_of_a_forgotten_person_go_with_it(tmp_path):
    messages = write_messages(tmp_path / "m.jsonl")
    text = ("--data.path", messages, "--data.cache-dir", tmp_path / "cache")
    flags = without(flags_of("gaussian"), "--data.format")
    simulate(tmp_path / "run", *flags, *text, stop_after=1)
    begun = prepare(parse_simulate(["--resume", str(tmp_path / "run")]).run, resume=True)
    spec, digests = begun.task.population, begun.digests
    holders = [len(phones_with_text_of(spec, np.array([n]))) for n in range(spec.num_people)]
    most = int(np.argmax(holders))
    assert holders[most] > 1
    user = next(one for one in (f"user{n}" for n in range(40)) if user_digest(one) == digests[most])
    said = forgotten(tmp_path / "run", user, dry_run=True)
    assert f"1 of {PHONES}, and {holders[most] - 1} that" in said
