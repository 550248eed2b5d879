"""Run directories that lie: made from one finished run, each in a way of its own, by somebody who has all our code."""

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from client_model.tflite.export_folder import sign_folder
from server_strategy.privacy.ledger import PrivacySpent, decode_labels, encode_labels, recompute
from server_strategy.privacy.ledger_lines import chained
from server_strategy.privacy.ledger_reading import plan_on_record
from simulation.audit_trail import TRAIL
from simulation.files import write_npz_atomically
from simulation.run.directory import stored_weights_sha256
from simulation.run.ledger_head import for_manifest, head_of, sign_head, write_head
from simulation.run.statement_pages import facts_from, statement_pages, write_pages

KEPT = ("config.toml", "privacy.json", "privacy.md", "privacy_ledger.jsonl", "privacy_head.json", "summary.json")
ALSO = ("participation.json", "rounds.jsonl", TRAIL, "model")
OWN_KEY, OTHER_KEY = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()

Forge = Callable[[Path], None]


class Forgery(NamedTuple):
    """One way to lie, and the place that has to be named."""

    name: str
    forge: Forge
    place: str
    with_key: bool = False  # the check is given the key of who should have signed


def copy_run(run: Path, folder: Path) -> Path:
    """What a check reads of a run, in a folder of its own."""
    for name in (*KEPT, *ALSO):
        if (run / name).is_dir():
            shutil.copytree(run / name, folder / name)
        elif (run / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(run / name, folder / name)
    return folder


# Parts of forgeries -----------------------------------------------------------------------------------------


def put(*place: Any, value: Any = None, by: Callable[[Any], Any] | None = None) -> Forge:
    """Another value at a place of privacy.json."""

    def forge(folder: Path) -> None:
        path = folder / "privacy.json"
        content = json.loads(path.read_text())
        inner = content
        for name in place[:-1]:
            inner = inner[name]
        inner[place[-1]] = value if by is None else by(inner[place[-1]])
        path.write_text(json.dumps(content, indent=2) + "\n")

    return forge


def take_out(key: str) -> Forge:
    """privacy.json without a key."""

    def forge(folder: Path) -> None:
        path = folder / "privacy.json"
        content = json.loads(path.read_text())
        del content[key]
        path.write_text(json.dumps(content, indent=2) + "\n")

    return forge


def text(name: str, old: str, new: str) -> Forge:
    """A file with another text in it."""

    def forge(folder: Path) -> None:
        content = (folder / name).read_text()
        assert old in content, (name, old)
        (folder / name).write_text(content.replace(old, new, 1))

    return forge


def lines(change: Callable[[list[str]], list[str]], name: str = "privacy_ledger.jsonl") -> Forge:
    """A file with other lines."""

    def forge(folder: Path) -> None:
        (folder / name).write_text("".join(change((folder / name).read_text().splitlines(keepends=True))))

    return forge


def chain(change: Callable[[list[dict[str, Any]]], object]) -> Forge:
    """A ledger with other lines, whose chain holds."""

    def forge(folder: Path) -> None:
        path = folder / "privacy_ledger.jsonl"
        entries = [json.loads(line) for line in path.read_text().splitlines()]
        change(entries)
        previous, written = "", ""
        for entry in entries:
            whole = chained({k: v for k, v in entry.items() if k not in ("previous", "hash")}, previous)
            previous, written = whole["hash"], written + json.dumps(whole, sort_keys=True) + "\n"
        path.write_text(written)

    return forge


def restate(folder: Path) -> None:
    """A statement, page and head that fit the ledger, whatever it says: as a run would have written them."""
    ledger = folder / "privacy_ledger.jsonl"
    entries = [json.loads(line) for line in ledger.read_text().splitlines()]
    plan = plan_on_record(ledger, entries, None)
    releases = max(entry["release"] for entry in entries)
    said = json.loads((folder / "privacy.json").read_text())
    spent = PrivacySpent(**recompute(ledger, releases))
    content, page = statement_pages(plan, spent, facts_from(said, "privacy.json"))
    write_pages(folder, content, page)
    rehead(folder)


def rehead(folder: Path) -> None:
    """Heads that fit: the one in the file and the one in the manifest."""
    write_head(folder)
    manifest = folder / "model" / "manifest.json"
    if manifest.exists():
        content = json.loads(manifest.read_text())
        content["weights.npz"]["ledger"] = for_manifest(head_of(folder))
        manifest.write_text(json.dumps(content, indent=2) + "\n")


def respend(entries: list[dict[str, Any]]) -> None:
    """Costs in the lines that fit their participants, for independent noise without a second participation."""
    counts: dict[int, int] = {}
    for entry in entries[1:]:
        labels = decode_labels(entry["participants"])
        for label in labels.tolist():
            counts[label] = counts.get(label, 0) + 1
        if not counts:
            entry["spent"] |= {"max_participations": 0, "zcdp_rho": 0.0, "epsilon": 0.0}


def nobody(entries: list[dict[str, Any]]) -> None:
    """Lines in which no phone took part, so that nothing was spent."""
    for entry in entries[1:]:
        entry |= {"participants": "", "reports": 0}
    respend(entries)


def invented(entries: list[dict[str, Any]]) -> None:
    """Other phones than those that took part, as many."""
    rng = np.random.default_rng(1)
    for entry in entries[1:]:
        entry["participants"] = encode_labels(rng.integers(0, 2**63, entry["reports"]).astype(np.uint64))


def fewer(entries: list[dict[str, Any]]) -> None:
    """One phone less in a line."""
    entry = entries[2]
    entry["participants"] = encode_labels(decode_labels(entry["participants"])[1:])
    entry["reports"] -= 1


def plan_of(**changes: Any) -> Callable[[list[dict[str, Any]]], None]:
    """Another plan in the first line."""
    return lambda entries: entries[0]["plan"].update(changes)


def line_of(number: int, **changes: Any) -> Callable[[list[dict[str, Any]]], None]:
    """Other values in a line."""
    return lambda entries: entries[number].update(changes)


def unbound(entries: list[dict[str, Any]]) -> None:
    """Lines as earlier versions wrote them."""
    for entry in entries[1:]:
        for name in ("sum_digest", "weights_sha256", "follows", "attempt"):
            del entry[name]


def other_weights(folder: Path) -> None:
    """Somebody else's model."""
    path = folder / "model" / "weights.npz"
    with np.load(path) as stored:
        arrays = {name: stored[name] + np.float32(0.01) for name in stored.files}
    write_npz_atomically(path, arrays)


def without(*names: str) -> Forge:
    """Files taken away, which would have told."""

    def forge(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()

    return forge


def zeros(name: str) -> Forge:
    """A file of nothing."""

    def forge(folder: Path) -> None:
        (folder / name).write_bytes(bytes(1000))

    return forge


def relist(folder: Path) -> None:
    """A manifest that fits the files."""
    path = folder / "model" / "manifest.json"
    content = json.loads(path.read_text())
    for name, entry in content.items():
        file = (folder / "model" / name).read_bytes()
        entry |= {"bytes": len(file), "sha256": hashlib.sha256(file).hexdigest()}
    path.write_text(json.dumps(content))


def resummed(*place: str, **values: Any) -> Forge:
    """Other values in summary.json, in the object at a place."""

    def forge(folder: Path) -> None:
        content = json.loads((folder / "summary.json").read_text())
        inner = content
        for name in place:
            inner = inner[name]
        inner.update(values)
        (folder / "summary.json").write_text(json.dumps(content))

    return forge


def relabelled(folder: Path) -> None:
    """A manifest that says of a file for phones that it is of other weights."""
    path = folder / "model" / "manifest.json"
    content = json.loads(path.read_text())
    content["keyboard.tflite"]["weights_sha256"] = "0" * 64
    path.write_text(json.dumps(content))


def all_of(*parts: Forge) -> Forge:
    """One after another."""

    def forge(folder: Path) -> None:
        for part in parts:
            part(folder)

    return forge


def signed_by(key: Ed25519PrivateKey) -> Forge:
    """The head as it is, signed."""

    def forge(folder: Path) -> None:
        sign_head(folder, key)

    return forge


def signed_manifest(key: Ed25519PrivateKey) -> Forge:
    """The manifest as it is, signed."""

    def forge(folder: Path) -> None:
        sign_folder(folder / "model", key)

    return forge


def claims_other_weights(folder: Path) -> None:
    """A statement of somebody else's model, which is there, under this run's ledger."""
    other_weights(folder)
    digest = stored_weights_sha256(folder / "model" / "weights.npz")
    put("facts", "weights_sha256", value=digest)(folder)
    restate(folder)


def facts_of(**changes: Any) -> Forge:
    """Other facts, and a statement, page and heads that fit them."""
    told = [put("facts", name, value=value) for name, value in changes.items()]
    return all_of(*told, restate)


# The forgeries ----------------------------------------------------------------------------------------------

_WITNESSES = ("participation.json", "rounds.jsonl", "summary.json")
_MODEL = "a modelled deployment with 5,000,000 reports per round"


def _in_the_statement() -> list[Forgery]:
    """One thing edited in privacy.json."""
    half = {"by": lambda value: value / 2}
    edits: list[tuple[str, Forge, str]] = [
        ("epsilon of another deployment", put("epsilon_is_of", value=_MODEL), "epsilon_is_of"),
        ("epsilon of this run", put("epsilon_is_of", value="this run"), "epsilon_is_of"),
        ("headline", put("statement", by=lambda said: said.replace("(", "(0", 1)), "statement"),
        ("look-alike in the headline", put("statement", by=lambda said: said.replace("e", "\u0435", 1)), "statement"),
        ("a space that is none", put("unit", by=lambda said: said.replace(" ", "\u00a0", 1)), "unit"),
        ("spent epsilon", put("spent", "epsilon", **half), "spent.epsilon"),
        ("spent rho", put("spent", "zcdp_rho", **half), "spent.zcdp_rho"),
        ("spent delta", put("spent", "delta", **half), "spent.delta"),
        ("participations", put("spent", "max_participations", by=lambda n: n - 1), "spent.max_participations"),
        ("negative participations", put("spent", "max_participations", value=-1), "spent.max_participations"),
        ("separation", put("spent", "min_separation_rounds", value=99), "spent.min_separation_rounds"),
        ("more in what was spent", put("spent", "note", value="x"), "spent.note"),
        ("true for 1", put("spent", "max_participations", value=True), "spent.max_participations"),
        ("exact epsilon", put("epsilon_exact_gaussian", **half), "epsilon_exact_gaussian"),
        ("noise deviation", put("planned", "noise_stddev", by=lambda s: s * 10), "planned.noise_stddev"),
        ("noise multiplier", put("planned", "noise_multiplier", by=lambda z: z * 2), "planned.noise_multiplier"),
        ("planned epsilon", put("planned", "epsilon", **half), "planned.epsilon"),
        ("planned rounds", put("planned", "rounds", value=1), "planned.rounds"),
        ("no modelled cohort", put("planned", "modelled_cohort", value=None), "planned.modelled_cohort"),
        ("mechanism", put("mechanism", value="tree"), "mechanism"),
        ("its parameters", put("mechanism_parameters", value={"rounds": 3}), "mechanism_parameters"),
        ("population", put("assumed_population", by=lambda n: n * 100), "assumed_population"),
        ("rule of the population", put("population_rule", value="the phones of this run"), "population_rule"),
        ("rule of delta", put("delta_rule", value="none"), "delta_rule"),
        ("exclusions cut", put("outside_the_budget", by=lambda said: said[:-1]), "outside_the_budget"),
        ("no exclusions", put("outside_the_budget", value=[]), "outside_the_budget"),
        ("caveats cut", put("caveats", by=lambda said: said[1:]), "caveats"),
        ("adjacency", put("adjacency", value="none"), "adjacency"),
        ("trust model", put("trust_model", value="local: nobody is trusted"), "trust_model"),
        ("amplification", put("amplification_by_sampling", value="Poisson"), "amplification_by_sampling"),
        ("a counterfactual", put("counterfactual_poisson_epsilon", value=0.1), "counterfactual_poisson_epsilon"),
        ("no warning", put("not_guaranteed", value=None), "not_guaranteed"),
        ("data", put("data_covered", value="public text"), "data_covered"),
        ("a key less", take_out("caveats"), "caveats"),
        ("a key more", put("certified", value=True), "certified"),
        ("date", put("date", value="2001-01-01"), "privacy.json: date"),
        ("version", put("typefleet_version", value="9.9.9"), "privacy_head.json"),
        ("facts", put("facts", "data_covered", value="public text"), "data_covered"),
        ("no day", put("facts", "date", value="soon"), "date"),
        ("a key twice", text("privacy.json", "{", '{"unit": "", '), "privacy.json"),
    ]
    return [Forgery(f"statement: {name}", forge, place) for name, forge, place in edits]


def _in_the_page() -> list[Forgery]:
    """One line edited in privacy.md."""

    def page(change: Callable[[list[str]], list[str]]) -> Forge:
        return lines(change, "privacy.md")

    edits: list[tuple[str, Forge, str]] = [
        ("epsilon", text("privacy.md", "-differential privacy", "-differential privacy!"), r"privacy\.md:\d+"),
        ("the warning", page(lambda said: [said[0], *said[6:]]), r"privacy\.md:\d+"),
        ("an exclusion", page(lambda said: [s for s in said if "evaluation on" not in s]), r"privacy\.md:\d+"),
        ("a line more", page(lambda said: [*said, "Certified.\n"]), r"privacy\.md:\d+"),
        ("a look-alike", text("privacy.md", "Privacy", "Priv\u0430cy"), r"privacy\.md:1"),
        ("lines changed about", page(lambda said: [*said[:6], said[8], said[7], said[6], *said[9:]]), r"privacy\.md:7"),
        ("an end without a newline", page(lambda said: [*said[:-1], said[-1][:-1]]), r"privacy\.md:\d+"),
    ]
    return [Forgery(f"page: {name}", forge, place) for name, forge, place in edits]


def _in_the_ledger() -> list[Forgery]:
    """Lines edited with and without the chain; whoever makes the chain anew states anew what it comes to as well."""

    def planned(**changes: Any) -> Forge:
        return all_of(chain(plan_of(**changes)), restate)

    def cheap(entries: list[dict[str, Any]]) -> None:
        entries.append({**entries[-1], **again})
        for entry in entries[1:]:
            entry["spent"] = {**entry["spent"], "epsilon": 0.001, "zcdp_rho": 1e-6}

    again = {"attempt": 1, "sum_digest": "0" * 64}
    before = all_of(chain(unbound), take_out("facts"))
    edits: list[tuple[str, Forge, str]] = [
        ("a line edited", lines(lambda said: [said[0], said[1].replace('"round": 1', '"round": 2'), *said[2:]]), ":2"),
        ("a line missing", lines(lambda said: [said[0], *said[2:]]), ":2"),
        ("a line twice", lines(lambda said: [*said[:2], *said[1:]]), ":3"),
        ("lines changed about", lines(lambda said: [said[0], said[2], said[1], *said[3:]]), ":2"),
        ("the last line missing", lines(lambda said: said[:-1]), "releases on record"),
        ("the last line missing, restated", all_of(lines(lambda said: said[:-1]), restate), "weights"),
        ("a line twice in a whole chain", chain(lambda entries: entries.append(dict(entries[-1]))), "unbroken chain"),
        ("a release again", chain(lambda entries: entries.append({**entries[-1], **again})), "spent"),
        ("negative reports", chain(line_of(2, reports=-1)), ":3"),
        ("nobody took part", all_of(chain(nobody), restate), "rounds.jsonl has another round"),
        ("other phones", chain(invented), "privacy_head.json: another last_hash"),
        ("a phone less", all_of(chain(fewer), restate), "rounds.jsonl"),
        ("a plan of more noise", planned(noise_multiplier=8.0), "config.toml comes to another noise_multiplier"),
        ("a plan of more phones", planned(modelled_cohort=10**6), "config.toml comes to another"),
        ("a plan of other rounds", planned(rounds=1000), "config.toml comes to another rounds"),
        ("a plan of another delta", planned(delta=1e-3), "config.toml comes to another delta"),
        ("a budget that was none", planned(epsilon_budget=1.0), "config.toml comes to another epsilon_budget"),
        ("costs of its own", chain(lambda entries: entries[2]["spent"].update(epsilon=0.1)), ":3"),
        ("another deployment", chain(line_of(2, epsilon_is_of="this run")), ":3"),
        ("other weights in the last line", chain(line_of(-1, weights_sha256="0" * 64)), "other weights"),
        ("lines that bind nothing", all_of(chain(unbound), put("unit", value="one word")), "unit"),
        ("a run of before", all_of(chain(unbound), take_out("facts"), put("caveats", value=[])), "privacy_head.json"),
        ("costs of their own, by a release again", all_of(chain(cheap), restate), ":2: another cost"),
        ("of before, without the warning", all_of(before, take_out("not_guaranteed"), rehead), "not_guaranteed"),
        ("of before, of these files", all_of(before, put("epsilon_is_of", value="these files"), rehead), "epsilon_is"),
        ("of before, of another unit", all_of(before, put("unit", value="a word"), rehead), "json: unit"),
        ("of before, with a key more", all_of(before, put("certified", value=True), rehead), "json: certified"),
        ("another run's ledger", all_of(chain(plan_of(clip_norm=9.0)), chain(invented)), "config.toml"),
    ]
    return [Forgery(f"ledger: {name}", forge, place) for name, forge, place in edits]


def marked(said: str) -> str:
    """A text with a line more."""
    return f"{said}\n\n**No more than this.**"


def _in_the_facts() -> list[Forgery]:
    """What the run told, told otherwise; all that is made of it is made anew."""
    edits: list[tuple[str, Forge, str]] = [
        (
            "markup in a text",
            all_of(put("facts", "data_covered", by=lambda said: f"{said}\n\n**No.**"), restate),
            "facts",
        ),
        (
            "a sentence on other runs",
            all_of(put("facts", "other_runs", "says", value=["At most 1."]), restate),
            "other",
        ),
        ("a start of nothing", all_of(text("config.toml", 'init = "none"', 'init = "run"'), restate), "earlier_runs"),
        ("a day to come", facts_of(date="9999-12-31"), "date: a day that is yet"),
        ("less than a phone of a person", facts_of(most_phones_of_a_person=-5), "facts.most_phones_of_a_person"),
        (
            "commas for a number",
            all_of(put("facts", "data_covered", by=lambda s: re.sub("[0-9]+", ",,,", s, count=1)), restate),
            "data_covered",
        ),
        ("words of the run's own guarantee", facts_of(words="private"), "facts.words"),
        ("words without noise, and no word of it", facts_of(words="counted"), "facts.words"),
    ]
    return [Forgery(f"facts: {name}", forge, place) for name, forge, place in edits]


def _elsewhere() -> list[Forgery]:
    """Weights, settings, records, heads and signatures."""
    cheaper = all_of(chain(nobody), restate)
    all_anew = all_of(cheaper, without(*_WITNESSES))
    others = all_of(chain(invented), restate)
    zero = lines(lambda said: [line.replace('"zcdp_rho": 0', '"zcdp_rho": 1') for line in said], "summary.json")
    edits: list[tuple[str, Forge, str]] = [
        ("weights swapped", other_weights, "weights.npz"),
        ("weights swapped and stated", claims_other_weights, "privacy_ledger.jsonl:4"),
        ("a word", text("model/vocab.txt", "the", "forged"), "vocab.txt"),
        ("a word, by the manifest", all_of(text("model/vocab.txt", "the", "forged"), relist), "vocabulary_sha256"),
        ("no file for phones", zeros("model/keyboard.tflite"), r"model/keyboard\.tflite"),
        ("a file of other weights", relabelled, r"model/manifest\.json: a file that is said to be of other weights"),
        ("vectors", text("model/test_vectors.json", "1", "2"), r"model/test_vectors\.json"),
        ("one file more", zeros("model/notes.bin"), r"model/notes\.bin"),
        ("a key of the noise", zeros("noise_secret"), "noise_secret"),
        ("settings", text("config.toml", "noise_multiplier = 1.0", "noise_multiplier = 2.0"), "config.toml"),
        ("summary", text("summary.json", '"epsilon": ', '"epsilon": 1'), "summary.json"),
        ("a summary of another rho", zero, "summary.json"),
        ("a summary of other noise", resummed(noise_source="nobody's"), "summary.json: another noise_source"),
        (
            "a summary of a start",
            resummed("other_runs", earlier_runs=[{}]),
            r"summary.json: another other_runs\.earlier",
        ),
        ("participation", text("participation.json", '"updates": ', '"updates": 1'), "participation.json"),
        ("rounds", text("rounds.jsonl", '"reports": ', '"reports": 1'), "rounds.jsonl"),
        ("no rounds", lines(lambda said: [], "rounds.jsonl"), "^[^\n]*rounds.jsonl: no round[^\n]*\n$"),
        ("half a page", lines(lambda said: said[:20], "privacy.md"), "^privacy.md:21: it ends here[^\n]*\n$"),
        ("a round less", lines(lambda said: said[:-1], "rounds.jsonl"), "rounds.jsonl"),
        ("head", text("privacy_head.json", '"lines": 4', '"lines": 5'), "privacy_head.json"),
        ("a key more in the head", text("privacy_head.json", "{", '{"certified": 1,'), "another key more"),
        ("no trail", without(TRAIL), f"{TRAIL}: it is not there"),
        ("a trail cut off", lines(lambda said: [], TRAIL), f"{TRAIL}: expected a line whose hash"),
        ("a line of the trail less", lines(lambda said: said[1:], TRAIL), f"{TRAIL}:1: expected"),
        ("a name in the trail", text(TRAIL, '"user": "', '"user": "x'), f"{TRAIL}:1: expected"),
        ("a draft of a key of the noise", zeros(".noise_secret-1a2b"), r"\.noise_secret-1a2b"),
        ("all but the manifest", keeping("model/manifest.json", others), "manifest.json"),
    ]
    signed: list[tuple[str, Forge, str]] = [
        ("whoever made all anew", all_anew, "privacy_head.sig"),
        ("signed by another", all_of(all_anew, signed_by(OTHER_KEY)), "privacy_head.sig"),
        ("a manifest signed by another", all_of(all_anew, signed_manifest(OTHER_KEY)), "manifest.sig"),
        ("signed before", all_of(signed_by(OWN_KEY), keeping("privacy_head.sig", cheaper)), "privacy_head.sig"),
        (
            "a head and a signature of another run",
            all_of(signed_by(OWN_KEY), keeping("privacy_head.sig", keeping("privacy_head.json", others))),
            "privacy_head.json",
        ),
        ("a word, under a signature", all_of(signed_by(OWN_KEY), text("model/vocab.txt", "the", "of")), "vocab"),
        ("a key left, under a signature", all_of(signed_by(OWN_KEY), zeros("noise_secret")), "noise_secret"),
        ("no signature", lambda folder: None, "privacy_head.sig"),
        ("half a signature", all_of(signed_by(OWN_KEY), halve("privacy_head.sig")), "privacy_head.sig"),
    ]
    return [
        *(Forgery(f"elsewhere: {name}", forge, place) for name, forge, place in edits),
        *(Forgery(f"signature: {name}", forge, place, with_key=True) for name, forge, place in signed),
    ]


def keeping(name: str, forge: Forge) -> Forge:
    """A forgery that leaves one file as it was."""

    def kept(folder: Path) -> None:
        before = (folder / name).read_bytes()
        forge(folder)
        (folder / name).write_bytes(before)

    return kept


def halve(name: str) -> Forge:
    """A file cut in the middle."""

    def forge(folder: Path) -> None:
        (folder / name).write_bytes((folder / name).read_bytes()[:32])

    return forge


FORGERIES = [*_in_the_statement(), *_in_the_page(), *_in_the_ledger(), *_in_the_facts(), *_elsewhere()]
