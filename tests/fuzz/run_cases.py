"""What lies in a run's folder, an export's folder and a model file, and what the keyboard page's server is sent."""

import contextlib
import io
import json
import math
import os
import struct
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from tests.fuzz.cases import MARKER, Case, Parser
from typefleet.errors import InputError, MachineError

# A whole small run, every file by the module that writes it --------------------------------------------

NAMES = ("config.toml", "summary.json", "rounds.jsonl", "privacy.json", "privacy_ledger.jsonl", "held_out.parquet")
MORE = ("participation.json", "central.json", "model/weights.npz", "checkpoints/checkpoint-000004.npz")


@cache
def whole_run() -> dict[str, bytes]:
    """Each file's content, by its path in the folder."""
    with tempfile.TemporaryDirectory() as folder:
        write_whole_run(Path(folder) / "run")
        return {name: (Path(folder) / "run" / name).read_bytes() for name in (*NAMES, *MORE)}


def write_whole_run(root: Path) -> None:
    from client_model.learning.language_model import flatten, weights_sha256
    from server_strategy.privacy.ledger import PrivacyLedger
    from simulation.files import write_npz_atomically
    from simulation.run.checkpoint import save_checkpoint
    from tests.server_strategy.privacy.test_ledger import ROUNDS, plan, play
    from tests.simulation.studies.run_folders import make_run

    make_run(root)
    own = plan(policy=MARKER, min_separation_rounds=2)
    spent = play(PrivacyLedger(own, root / "privacy_ledger.jsonl"), own, ROUNDS)
    weights = {"second": np.arange(6, dtype=np.float32).reshape(2, 3), "first": np.ones(2, np.float32)}
    write_npz_atomically(root / "model" / "weights.npz", weights)
    digest = weights_sha256(flatten(list(weights.values())))
    statement = {
        **json.loads((root / "privacy.json").read_text()),
        "spent": spent.__dict__,
        "epsilon_is_of": "this run",
        "weights_sha256": digest,
        "statement": MARKER,
        "caveats": [MARKER],
        "unit": MARKER,
        "trust_model": MARKER,
        "outside_the_budget": [MARKER],
        "planned": {"modelled_cohort": 20_000, "goal": 8, "clip_norm": 1.0, "epsilon_budget": None},
        "epsilon_exact_gaussian": 1.0,
    }
    statement["planned"]["noise_multiplier"] = 1.0
    (root / "privacy.json").write_text(json.dumps(statement, indent=2))
    share = {"phones": 8, "never_used_share": 0.1}
    group = {"grouping": MARKER, "group": "a", "updates_per_phone": 1.5, "share_of_tokens": 1.0, **share}
    recall = {"grouping": MARKER, "group": "a", "held_out_phones": 40, "top1_recall": 0.1}
    part = {
        "overall": {**share, "updates": 3, "gini": 0.4, "most_updates_of_a_phone": 2},
        "by_group": [group],
        "recall_by_group": [recall],
    }
    (root / "participation.json").write_text(json.dumps(part))
    central = {"epochs": 3, "learning_rate": 0.5, "metrics": {"top1_recall": 0.2, MARKER: 1.0}}
    (root / "central.json").write_text(json.dumps(central))
    state = {"weights": np.ones(9, np.float32), "strategy": {"participation": {"counts": np.arange(4)}}}
    totals = {
        "server_round": 4,
        "rounds_completed": 4,
        "rounds_abandoned": 0,
        "devices_trained": 9,
        "tokens_trained": 9,
        "wall_seconds": 1.0,
        "train_wall_seconds": 1.0,
        "stopped_early": None,
    }
    (root / "checkpoints").mkdir()
    about = {"salt": MARKER, "totals": totals, "fingerprint": {"parts": {MARKER: "x"}}}
    save_checkpoint(root / "checkpoints", 4, state, about, 3)


def write_run(folder: Path) -> None:
    """The run in `folder`, as it should be."""
    for name, content in whole_run().items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)


def write_stated(folder: Path) -> None:
    """A statement as a run writes it, over its ledger and its weights alone; other files have cases of their own."""
    for name, content in stated().items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)


@cache
def stated() -> dict[str, bytes]:
    """Each file's content, by its path in the folder."""
    from server_strategy.privacy.ledger import PrivacySpent, recompute
    from server_strategy.privacy.statement import StatementFacts
    from simulation.run.statement_pages import statement_pages, write_pages
    from tests.server_strategy.privacy.test_ledger import plan

    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        for name in ("privacy.json", "privacy_ledger.jsonl", "model/weights.npz"):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(whole_run()[name])
        spent = PrivacySpent(**recompute(folder / "privacy_ledger.jsonl", 7))
        digest = json.loads((folder / "privacy.json").read_text())["weights_sha256"]
        facts = StatementFacts(MARKER, (MARKER,), MARKER, MARKER, digest, "2026-01-05")
        content, page = statement_pages(plan(policy=MARKER, min_separation_rounds=2), spent, facts)
        write_pages(folder, content, page)
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def quiet(*said: str) -> None:
    """Hold what was printed to what may be: nothing that a terminal obeys, nothing of what files say."""
    for text in said:
        shown = text.replace("\n", "")
        assert shown.isprintable() and MARKER not in text.lower() and "Traceback" not in text, repr(text)


def check(folder: Path) -> tuple[bool, str]:
    from simulation.studies.privacy_check import check_statement

    out, errors = io.StringIO(), io.StringIO()
    agrees = check_statement(folder, out, errors)
    quiet(out.getvalue(), errors.getvalue())
    return agrees, errors.getvalue()


def compare(folder: Path) -> Any:
    from simulation.studies.comparing.comparison import compare_runs
    from simulation.studies.comparing.tables import print_comparison
    from simulation.tables import console_for

    found, printed = compare_runs([folder]), io.StringIO()
    print_comparison(console_for(printed), found)
    assert printed.getvalue().replace("\n", "").isprintable(), repr(printed.getvalue())
    return found


def compared(folder: Path) -> Any:
    """As a comparison and a report read a run, all but its settings, which take longer than everything else."""
    from client_model.metrics.table import metric_table
    from simulation.run.directory import RunDirectory
    from simulation.studies.comparing.reading import _held_out_of, _privacy_of

    directory = RunDirectory(folder)
    summary = directory.read_summary()
    rounds = directory.read_rounds_of(summary, metric_table())
    return summary, rounds, _held_out_of(directory, summary, finished=True), _privacy_of(folder / "privacy.json")


def gather(folder: Path) -> Any:
    from simulation.report.gathering import collect_facts

    return collect_facts(folder)


def report(folder: Path) -> str:
    from simulation.report.page import write_report

    return write_report(folder).read_text()


def weights_of(folder: Path) -> str:
    from simulation.run.directory import stored_weights_sha256

    return stored_weights_sha256(folder / "model" / "weights.npz")


def checkpoint_of(folder: Path) -> Any:
    from simulation.run.checkpoint import load_newest_checkpoint, newest_about, totals_of

    stored, notes = load_newest_checkpoint(folder / "checkpoints")
    assert not notes
    newest_about(folder / "checkpoints")
    totals_of(stored)
    return stored


# An export's folder ---------------------------------------------------------------------------------------


def write_export(folder: Path) -> None:
    """Two files with their manifest, signed, and the key of whoever signed."""
    for name, content in whole_export().items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)


@cache
def whole_export() -> dict[str, bytes]:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    from client_model.tflite.export_folder import place_files, sign_folder
    from tests.client_model.tflite.test_export_folder import KEY

    with tempfile.TemporaryDirectory() as name:
        folder, draft = Path(name) / "model", Path(name) / "draft"
        folder.mkdir()
        draft.mkdir()
        (draft / "a.tflite").write_bytes(b"first")
        (folder / "vocab.txt").write_text(MARKER)
        place_files(draft, folder, {"a.tflite": {"note": MARKER}}, ("vocab.txt",))
        sign_folder(folder, KEY)
        found = {f"model/{path.name}": path.read_bytes() for path in folder.iterdir()}
    return found | {"key.pem": KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)}


def verify(folder: Path) -> str:
    from simulation.commands.verify_model import main

    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert main([str(folder), "--public-key", str(folder / "key.pem")]) == 0
    quiet(printed.getvalue())
    assert printed.getvalue().count("\n") == 3, printed.getvalue()
    return printed.getvalue()


# A model file, and a request --------------------------------------------------------------------------------


def write_model(folder: Path) -> None:
    """A keyboard's file in a run's folder."""
    from tests.fuzz.tiny_model import tiny_file

    (folder / "model").mkdir(exist_ok=True)
    (folder / "model" / "keyboard.tflite").write_bytes(tiny_file())


def inside(folder: Path) -> Any:
    from simulation.device.keyboard_server import read_model_file

    return read_model_file(folder / "model" / "keyboard.tflite")


def open_whole(folder: Path) -> Any:
    from simulation.device.keyboard_server import open_model

    described = open_model(folder).describe(0)
    json.dumps(described, allow_nan=False)
    return described


REQUEST = {
    "token": {"shape": [1], "dtype": "int32", "data": [9]},
    "memory": {"shape": [1, 2], "dtype": "float32", "data": [0, 0.5]},
}


def write_request(folder: Path) -> None:
    """The body of a request."""
    (folder / "request").write_text(json.dumps(REQUEST))


def ask(folder: Path) -> Any:
    from client_model.tflite.tried_file import Signature, Tensor
    from simulation.device.local_files import arrays_of
    from typefleet.errors import ConfigError
    from typefleet.untrusted.own_json import parse_json

    signature = Signature({"token": Tensor((1,), "int32"), "memory": Tensor((1, 2), "float32")}, {})
    return arrays_of(parse_json((folder / "request").read_bytes(), "the request", "inputs", ConfigError), signature)


# Mutations that a reader rightly takes, or that are of the file's place alone.
_PLACE = frozenset(("missing", "a folder", "a pipe that nobody writes to", "a link to itself", "a link to nothing"))
LEDGER = Parser("ledger", write_stated, "privacy_ledger.jsonl", check)
STATEMENT = Parser("statement", write_stated, "privacy.json", check)
COMPARED = Parser("compared-statement", write_run, "privacy.json", compared)
SUMMARY = Parser("summary", write_run, "summary.json", compared)
ROUNDS = Parser("rounds", write_run, "rounds.jsonl", compared)
PHONES = Parser("phones", write_run, "held_out.parquet", compared, without=frozenset(("missing",)))
WEIGHTS = Parser("weights", write_run, "model/weights.npz", weights_of)
CHECKPOINT = Parser(
    "checkpoint", write_run, "checkpoints/checkpoint-000004.npz", checkpoint_of, (InputError, MachineError)
)
MANIFEST = Parser("manifest", write_export, "model/manifest.json", verify)
SIGNATURE = Parser("signature", write_export, "model/manifest.sig", verify)
KEYFILE = Parser("key", write_export, "key.pem", verify)
LISTED = Parser("listed-file", write_export, "model/a.tflite", verify)
MODEL = Parser("model-file", write_model, "model/keyboard.tflite", inside)
REQUESTED = Parser("request", write_request, "request", ask, without=_PLACE | {"a device without end"})
PARSERS = (
    *(LEDGER, STATEMENT, COMPARED, SUMMARY, ROUNDS, PHONES, WEIGHTS, CHECKPOINT),
    *(MANIFEST, SIGNATURE, KEYFILE, LISTED, MODEL, REQUESTED),
)


# Changes ------------------------------------------------------------------------------------------------------


def json_at(name: str, change: Callable[[Any], Any]) -> Callable[[Path], None]:
    """A file of JSON with something else in it; NaN and Infinity as Python writes them."""

    def make(folder: Path) -> None:
        content = json.loads((folder / name).read_text())
        changed = change(content)
        (folder / name).write_text(json.dumps(content if changed is None else changed))

    return make


def put(*place: Any) -> Callable[[Any], Callable[[Any], None]]:
    """put("a", "b")(3) sets the value of b in a."""

    def of(value: Any) -> Callable[[Any], None]:
        def change(content: Any) -> None:
            for name in place[:-1]:
                content = content[name]
            content[place[-1]] = value

        return change

    return of


def bytes_at(name: str, content: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(content)  # type: ignore[return-value]


def edited(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(change((folder / name).read_bytes()))  # type: ignore[return-value]


WRONG: dict[str, Any] = {
    "text": MARKER,
    "NaN": math.nan,
    "Infinity": math.inf,
    "-1": -1,
    "huge": 10**400,
    "list": [[MARKER]],
    "object": {MARKER: MARKER},
    "true": True,
    "null": None,
    "escapes": "\x1b[2J\n\u202e",
}


def wrong(parser: Parser, place: tuple[Any, ...], skip: tuple[str, ...] = (), only: tuple[str, ...] = ()) -> list[Case]:
    """A case for each value that has no place there."""
    return [
        Case(parser, f"{'.'.join(map(str, place))} = {name}", json_at(parser.file, put(*place)(value)))
        for name, value in WRONG.items()
        if name not in skip and (not only or name in only)
    ]


def rechained(change: Callable[[list[dict[str, Any]]], object]) -> Callable[[Path], None]:
    """A ledger with other lines, whose chain holds."""

    def make(folder: Path) -> None:
        from server_strategy.privacy.ledger_lines import chained

        path = folder / "privacy_ledger.jsonl"
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        change(lines)
        previous, text = "", ""
        for line in lines:
            body = {k: v for k, v in line.items() if k not in ("previous", "hash")}
            whole = chained(body, previous)
            previous, text = whole["hash"], text + json.dumps(whole, sort_keys=True) + "\n"
        path.write_text(text)

    return make


def ledger_values() -> list[Case]:
    places = [(0, "plan"), (0, "release"), *((2, name) for name in ("release", "round", "reports", "participants"))]
    places += [(2, "spent"), (2, "epsilon_is_of"), (0, "plan", "noise_multiplier"), (0, "plan", "parameters")]
    places += [(0, "plan", "delta"), (0, "plan", "goal"), (0, "plan", "mechanism"), (2, "spent", "epsilon")]
    fine = {
        (0, "plan", "parameters"): ("null",),
        (2, "spent", "epsilon"): ("null",),
        (2, "epsilon_is_of"): ("text", "escapes"),
        (0, "plan", "mechanism"): ("text",),  # the name of a mechanism that is not installed is said
    }
    cases = []
    for place in places:
        for name, value in WRONG.items():
            if name not in fine.get(place, ()):
                make = rechained(put(*place)(value))
                cases.append(Case(LEDGER, f"{'.'.join(map(str, place))} = {name}", make))
    return cases


def text_of(lines: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(line) + "\n" for line in lines)


def ledger_lines(change: Callable[[list[bytes]], list[bytes]]) -> Callable[[Path], None]:
    return edited("privacy_ledger.jsonl", lambda raw: b"".join(change(raw.splitlines(keepends=True))))


def duplicated(raw: bytes) -> bytes:
    """The first object has its first key twice."""
    return raw.replace(b"{", b'{"release": 0, "release": 0, ', 1)


LEDGER_CASES = (
    Case(LEDGER, "valid", lambda folder: None, None, lambda found: found == (True, "")),
    *ledger_values(),
    Case(
        LEDGER, "a field that no line has", rechained(lambda lines: lines[1].update({MARKER: 1})), r":2: expected a le"
    ),
    Case(LEDGER, "a field less", rechained(lambda lines: lines[1].pop("reports")), r":2: .* found no reports"),
    Case(LEDGER, "a key twice", edited("privacy_ledger.jsonl", duplicated), r":1: .* found a key twice"),
    Case(LEDGER, "lines changed about", ledger_lines(lambda lines: [lines[0], lines[2], lines[1], *lines[3:]])),
    Case(LEDGER, "a line less", ledger_lines(lambda lines: lines[:1] + lines[2:]), r":2: expected an unbroken chain"),
    Case(LEDGER, "a line twice", ledger_lines(lambda lines: lines[:2] + lines[1:]), r":3: expected an unbroken chain"),
    Case(LEDGER, "an empty line", ledger_lines(lambda lines: [lines[0], b"\n", *lines[1:]]), r":2: "),
    Case(LEDGER, "no line at all", bytes_at("privacy_ledger.jsonl", b""), r"expected \d+ releases on record"),
    Case(LEDGER, "a part of a line alone", bytes_at("privacy_ledger.jsonl", b'{"release": 0')),
    Case(
        LEDGER,
        "a part of a line behind the others",
        edited("privacy_ledger.jsonl", lambda raw: raw + b'{"release": 8, "part'),
        None,
        lambda found: found[0] and "is half-written and not counted" in found[1],
    ),
    Case(
        LEDGER,
        "the last line without its end",
        edited("privacy_ledger.jsonl", lambda raw: raw[:-1]),
        r"expected 7 releases on record, found 6",
    ),
    Case(LEDGER, "a line of 100 MB", edited("privacy_ledger.jsonl", lambda raw: raw + b" " * (100 << 20)), r":9: "),
    Case(LEDGER, "other ends", edited("privacy_ledger.jsonl", lambda raw: raw.replace(b"\n", b"\r\n")), None),
    Case(
        LEDGER,
        "a phone twice in a release",
        rechained(lambda lines: lines[1].update(reports=2, participants="AQAAAAAAAAABAAAAAAAAAA==")),
        r":2: expected the participants",
    ),
    Case(
        LEDGER,
        "participation set to nothing",
        rechained(lambda lines: [line.update(reports=0, participants="") for line in lines[1:]]),
        None,
        lambda found: not found[0],
    ),
)
STATEMENT_CASES = (
    *wrong(STATEMENT, ("spent",)),
    *wrong(STATEMENT, ("spent", "releases")),
    *(
        Case(
            STATEMENT,
            f"spent.{name} = {said}",
            json_at("privacy.json", put("spent", name)(value)),
            *((None, lambda found: not found[0] and "comes out" in found[1]) if fine else ("",)),
        )
        for name in ("epsilon", "max_participations")
        for said, value, fine in [(one, WRONG[one], one not in ("NaN", "Infinity", "huge")) for one in WRONG]
    ),
    *(
        Case(
            STATEMENT,
            f"epsilon_is_of = {said}",
            json_at("privacy.json", put("epsilon_is_of")(WRONG[said])),
            *((None, lambda found: not found[0]) if said not in ("NaN", "Infinity", "huge") else ("",)),
        )
        for said in WRONG
    ),
    Case(STATEMENT, "one participation claimed as true", json_at("privacy.json", put("spent", "releases")(True))),
    Case(
        STATEMENT, "a key twice", edited("privacy.json", lambda raw: raw.replace(b"{", b'{"spent": 1, "spent": 2,', 1))
    ),
    Case(STATEMENT, "a list", bytes_at("privacy.json", b"[]"), r"privacy.json: expected .*, found a list"),
    Case(
        STATEMENT,
        "another weights' hash",
        json_at("privacy.json", put("weights_sha256")("\x1b[1A" + MARKER)),
        None,
        lambda found: not found[0] and "is of other weights" in found[1],
    ),
)
COMPARED_CASES = (
    Case(COMPARED, "valid", lambda folder: None, None),
    *wrong(COMPARED, ("mechanism",), skip=("text", "escapes")),
    *wrong(COMPARED, ("caveats",)),
    *wrong(COMPARED, ("planned",), skip=("object",)),
    *wrong(COMPARED, ("planned", "modelled_cohort"), skip=("null",)),
    Case(COMPARED, "escapes as mechanism", json_at("privacy.json", put("mechanism")(WRONG["escapes"])), None),
)
SUMMARY_CASES = (
    *wrong(SUMMARY, ("rounds_completed",)),
    *wrong(SUMMARY, ("epsilon",), skip=("null",)),
    *wrong(SUMMARY, ("participation",)),
    *wrong(SUMMARY, ("participation", "phones")),
    *wrong(SUMMARY, ("top1_recall",), skip=("-1",)),
    *wrong(SUMMARY, ("baseline_bigram_top1",), skip=("null",)),
    *wrong(SUMMARY, ("epsilon_is_of",), skip=("text", "escapes")),
    Case(SUMMARY, "escapes as epsilon_is_of", json_at("summary.json", put("epsilon_is_of")(WRONG["escapes"])), None),
    Case(SUMMARY, "a key twice", edited("summary.json", lambda raw: raw.replace(b"{", b'{"epsilon": 0,', 1))),
    Case(SUMMARY, "of another measurement", json_at("summary.json", put("top1_recall")(0.99)), r"held_out.parquet: "),
)


def round_line(change: Callable[[dict[str, Any]], object], number: int = 2) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        lines = [json.loads(line) for line in (folder / "rounds.jsonl").read_text().splitlines()]
        change(lines[number - 1])
        (folder / "rounds.jsonl").write_text(text_of(lines))

    return make


def wrong_round(name: str, skip: tuple[str, ...] = ()) -> list[Case]:
    return [
        Case(ROUNDS, f"{name} = {said}", round_line(put(name)(value)), r"rounds.jsonl:2: ?")
        for said, value in WRONG.items()
        if said not in skip
    ]


ROUNDS_CASES = (
    *wrong_round("round"),
    *wrong_round("epsilon", skip=("null",)),
    *wrong_round("rejected"),
    *wrong_round("top1_recall", skip=("null", "-1")),
    *wrong_round("invited"),
    *wrong_round("abandoned", skip=("null", "text", "escapes")),
    Case(ROUNDS, "a part of the funnel", round_line(lambda line: line.pop("late")), r":2: "),
    Case(
        ROUNDS,
        "garbage in a line",
        edited("rounds.jsonl", lambda raw: raw.replace(b'{"round": 2', b"\x1b[2J", 1)),
        r":2: ",
    ),
    Case(ROUNDS, "a part of a line at the end", edited("rounds.jsonl", lambda raw: raw + b'{"round'), None),
)


def arrays(**more: Any) -> bytes:
    """An .npz."""
    content = io.BytesIO()
    np.savez(content, **more)
    return content.getvalue()


def npz(members: list[tuple[str, bytes]], kind: int = zipfile.ZIP_STORED) -> bytes:
    """A zip archive of these members."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", kind) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a name is there twice
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name), data, kind)
    return content.getvalue()


def npy(header: str, data: bytes = b"", version: bytes = b"\1\0") -> bytes:
    """An array with a header of one's own."""
    text = header.encode("latin-1") + b"\n"
    size = struct.pack("<H", len(text)) if version == b"\1\0" else struct.pack("<I", len(text))
    return b"\x93NUMPY" + version + size + text + data


def flagged(raw: bytes) -> bytes:
    """Every member says that it is encrypted."""
    changed = bytearray(raw)
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = -1
        while (place := raw.find(mark, place + 1)) >= 0:
            changed[place + at] |= 1
    return bytes(changed)


def stating(raw: bytes, size: int) -> bytes:
    """The directory says that every member is so large."""
    changed, place = bytearray(raw), -1
    while (place := raw.find(b"PK\x01\x02", place + 1)) >= 0:
        struct.pack_into("<I", changed, place + 24, size)
    return bytes(changed)


ONE = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }"
HEADERS = {
    "a huge shape": npy(ONE.replace("(2,)", "(9999999999, 9999999999)")),
    "a shape of one more": npy(ONE, bytes(4)),
    "a shape of one less": npy(ONE, bytes(12)),
    "a negative shape": npy(ONE.replace("(2,)", "(-2,)"), bytes(8)),
    "objects": npy(ONE.replace("<f4", "|O"), b"cos\nsystem\n(S'true'\ntR."),
    "texts": npy(ONE.replace("<f4", "<U9"), bytes(72)),
    "fields": npy(ONE.replace("'<f4'", "[('a', '<f4')]"), bytes(8)),
    "complex numbers": npy(ONE.replace("<f4", "<c8"), bytes(16)),
    "times": npy(ONE.replace("<f4", "<M8[s]"), bytes(16)),
    "code as a header": npy("__import__('os').getcwd()", bytes(8)),
    "a deep header": npy("(" * 3000 + ")" * 3000, bytes(8)),
    "no end of the header": b"\x93NUMPY\1\0\xff\xff" + ONE.encode(),
    "a header of 4 GB": b"\x93NUMPY\2\0\xff\xff\xff\xff" + ONE.encode(),
    "a version of 9": b"\x93NUMPY\x09\0\x10\0" + ONE.encode(),
    "40 axes": npy(ONE.replace("(2,)", f"({'1, ' * 40})"), bytes(4)),
    "a byte order of none": npy(ONE.replace("<f4", "?f4"), bytes(8)),
    "nothing": b"",
}
BOMB = bytes(1 << 20)


def many(raw: bytes, number: int) -> list[tuple[str, bytes]]:
    return [(f"a{place}.npy", raw) for place in range(number)]


def array_files(parser: Parser) -> list[Case]:
    """Archives that are none of ours."""
    whole = npy(ONE, bytes(8))
    packed = zipfile.ZIP_DEFLATED
    found = {
        **{name: npz([("first.npy", content)]) for name, content in HEADERS.items()},
        "encrypted": flagged(arrays(first=np.ones(2, np.float32))),
        "a member that is no array": npz([("first.npy", whole), ("../../evil", MARKER.encode())]),
        "a member twice": npz([("first.npy", whole), ("first.npy", whole)]),
        "20,000 members": npz(many(b"", 20_000)),
        "packed by LZMA": npz([("first.npy", whole)], zipfile.ZIP_LZMA),
        "a bomb that says what it is": stating(npz([("first.npy", npy(ONE) + BOMB)], packed), (1 << 32) - 2),
        "a bomb that says it is small": stating(npz([("first.npy", npy(ONE) + BOMB)], packed), 200),
        "stored members over each other": stating(npz([("first.npy", whole)]), 1 << 31),
        "a directory that is cut": npz([("first.npy", whole)])[:-30],
        "a pickle in its place": b"\x80\x04\x8c\x02os\x94\x8c\x06system\x94\x93\x94.",
        "a single array": whole,
    }
    return [Case(parser, name, bytes_at(parser.file, content)) for name, content in found.items()]


def about(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    """A checkpoint that says something else beside its arrays."""

    def make(folder: Path) -> None:
        path = folder / CHECKPOINT.file
        with np.load(path) as stored:
            parts = {name: stored[name] for name in stored.files}
        said = json.loads(parts["about"].tobytes())
        changed = change(said)
        said = said if changed is None else changed
        parts["about"] = np.frombuffer(json.dumps(said).encode(), np.uint8)
        path.write_bytes(arrays(**parts))

    return make


def said_of_run(*place: str, skip: tuple[str, ...] = ()) -> list[Case]:
    return [
        Case(CHECKPOINT, f"{'.'.join(place)} = {name}", about(put(*place)(value)))
        for name, value in WRONG.items()
        if name not in skip
    ]


def no_phones(folder: Path) -> None:
    rewritten(folder, lambda table: table.slice(0, 0))


def rewritten(folder: Path, change: Callable[[Any], Any]) -> None:
    """held_out.parquet with another table in it."""
    import pyarrow.parquet as pq

    path = folder / "held_out.parquet"
    table = change(pq.read_table(path))
    path.unlink()
    pq.write_table(table, path)


def column(values: Callable[[int], list[Any]], name: str = "top1-hits") -> Callable[[Path], None]:
    import pyarrow as pa

    def change(table: Any) -> Any:
        return table.set_column(table.column_names.index(name), name, pa.array(values(len(table))))

    return partial(rewritten, change=change)


PHONES_CASES = (
    Case(PHONES, "nobody", no_phones),
    Case(PHONES, "NaN", column(lambda n: [math.nan] * n)),
    Case(PHONES, "Infinity", column(lambda n: [math.inf] * n)),
    Case(PHONES, "texts", column(lambda n: [MARKER] * n)),
    Case(PHONES, "nulls", column(lambda n: [None] * n)),
    Case(PHONES, "lists of different lengths", column(lambda n: [[0] * (1 + i % 2) for i in range(n)])),
    Case(PHONES, "huge", column(lambda n: [2**62] * n)),
    Case(PHONES, "a phone twice", column(lambda n: [1] * n, "phone")),
    Case(PHONES, "phones below 0", column(lambda n: list(range(-n, 0)), "phone")),
    Case(PHONES, "no phones", partial(rewritten, change=lambda table: table.drop_columns(["phone"]))),
    Case(PHONES, "a column twice", partial(rewritten, change=lambda t: t.append_column("phone", t["phone"]))),
    Case(PHONES, "half of the phones", partial(rewritten, change=lambda table: table.slice(0, 20))),
)


def manifest(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    """A manifest that says something else, signed as well."""

    def make(folder: Path) -> None:
        from client_model.tflite.export_folder import sign_folder
        from tests.client_model.tflite.test_export_folder import KEY

        json_at("model/manifest.json", change)(folder)
        sign_folder(folder / "model", KEY)

    return make


def named(name: str) -> Callable[[Path], None]:
    return manifest(lambda entries: entries.update({name: entries["a.tflite"]}))


MANIFEST_CASES = (
    Case(MANIFEST, "valid", lambda folder: None, None, lambda printed: printed.endswith("signed by this key\n")),
    *(
        Case(MANIFEST, f"{name} = {said}", manifest(put("a.tflite", name)(value)))
        for name in ("bytes", "sha256")
        for said, value in WRONG.items()
    ),
    *(Case(MANIFEST, f"an entry = {said}", manifest(put("a.tflite")(value))) for said, value in WRONG.items()),
    *(
        Case(MANIFEST, f"a name of {said}", named(name), "expected names of files of an export, found another")
        for said, name in {
            "nothing": "",
            "another folder": "../key.pem",
            "an absolute path": "/etc/hostname",
            "escapes": "x\n\x1b[1A\x1b[2Kall as in the manifest, and the manifest is signed by this key",
            "a turned line": "a\u202etfilte",
            "NUL": "a\0b",
            "itself": "manifest.json",
            "its signature": "manifest.sig",
            "300 letters": "a" * 300,
        }.items()
    ),
    Case(MANIFEST, "nothing in it", manifest(lambda entries: {}), "found none in it"),
    Case(MANIFEST, "a list", manifest(lambda entries: [])),
    Case(
        MANIFEST, "an entry twice", edited("model/manifest.json", lambda raw: raw.replace(b"{", b'{"a.tflite": {},', 1))
    ),
    Case(
        MANIFEST, "a folder that it does not list", lambda folder: (folder / "model" / "more").mkdir(), "found a folder"
    ),
    Case(MANIFEST, "a pipe that it does not list", lambda folder: os.mkfifo(folder / "model" / "more")),
    Case(MANIFEST, "a hidden file", lambda folder: (folder / "model" / ".more").write_bytes(b""), "found one more"),
    Case(MANIFEST, "a link to what it lists", lambda folder: _linked(folder / "model"), "found a link"),
    Case(MANIFEST, "no signature", lambda folder: (folder / "model" / "manifest.sig").unlink()),
)


def _linked(model: Path) -> None:
    (model / "a.tflite").rename(model.parent / "aside")
    (model / "a.tflite").symlink_to(model.parent / "aside")


def card(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    """A model file with another card."""

    def make(folder: Path) -> None:
        from tests.fuzz.tiny_model import CARD, model_file

        content = json.loads(json.dumps(CARD))
        changed = change(content)
        (folder / MODEL.file).write_bytes(model_file(content if changed is None else changed))

    return make


def card_values() -> list[Case]:
    fine: dict[tuple[str, ...], tuple[str, ...]] = {
        ("privacy", "statement"): ("text", "escapes"),
        ("privacy", "not_guaranteed"): ("text", "escapes", "null"),
        ("privacy", "spent", "delta"): ("null", "-1"),
        ("metrics_on_held_out_phones", "top3_recall"): ("null", "-1"),
        ("typefleet_version",): ("text", "escapes", "null"),
        ("privacy", "spent"): ("object",),
    }
    places = [*fine, ("weights_sha256",), ("model",), ("model", "sequence_length"), ("privacy",)]
    places.append(("metrics_on_held_out_phones",))
    return [
        Case(MODEL, f"{'.'.join(place)} = {said}", card(put(*place)(value)))
        for place in places
        for said, value in WRONG.items()
        if said not in fine.get(place, ())
    ]


def inner(
    change: Callable[[list[tuple[str, bytes]]], object], kind: int = zipfile.ZIP_STORED
) -> Callable[[Path], None]:
    """A model with another archive behind it."""

    def make(folder: Path) -> None:
        from tests.fuzz.tiny_model import tiny_file

        with zipfile.ZipFile(io.BytesIO(tiny_file())) as archive:
            members = [(name, archive.read(name)) for name in archive.namelist()]
        change(members)
        (folder / MODEL.file).write_bytes(tiny_file()[: tiny_file().index(b"PK\x03\x04")] + npz(members, kind))

    return make


def vocabulary(change: Callable[[list[str]], object]) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        from tests.fuzz.tiny_model import WORDS, model_file

        tokens = list(WORDS.tokens)
        change(tokens)
        (folder / MODEL.file).write_bytes(model_file(vocabulary="\n".join(tokens) + "\n"))

    return make


MODEL_CASES = (
    Case(MODEL, "valid", lambda folder: None, None),
    *card_values(),
    Case(MODEL, "a card that is a list", card(lambda content: [])),
    Case(MODEL, "a card that is no JSON", card(lambda content: "{" + MARKER)),
    Case(MODEL, "a deep card", card(lambda content: "[" * 100_000)),
    Case(MODEL, "a card with a key twice", card(lambda content: '{"model": 1, "model": 2}')),
    Case(MODEL, "no card", inner(lambda members: members.pop())),
    Case(MODEL, "two cards", inner(lambda members: members.append(members[-1]))),
    Case(MODEL, "1,000 files inside", inner(lambda members: members.extend((str(i), b"") for i in range(1000)))),
    Case(MODEL, "a bomb inside", inner(lambda members: members.append(("x", bytes(100 << 20))), zipfile.ZIP_DEFLATED)),
    Case(MODEL, "a file that is encrypted", lambda folder: edited(MODEL.file, flagged)(folder)),
    Case(MODEL, "a vocabulary that is no text", inner(lambda members: members.__setitem__(0, ("vocab.txt", b"\xff")))),
    Case(MODEL, "a vocabulary without its beginning", vocabulary(lambda tokens: tokens.pop(0))),
    Case(MODEL, "a token twice", vocabulary(lambda tokens: tokens.__setitem__(-1, tokens[-2]))),
)


def request(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    return json_at("request", change)


REQUEST_CASES = (
    Case(REQUESTED, "valid", lambda folder: None, None, lambda found: found["token"].tolist() == [9]),
    *(
        Case(REQUESTED, f"all = {said}", request(lambda _, v=value: [v] if v is None else v))
        for said, value in WRONG.items()
    ),
    *(
        Case(REQUESTED, f"token.{name} = {said}", request(put("token", name)(value)))
        for name in ("data", "shape", "dtype")
        for said, value in WRONG.items()
    ),
    *(
        Case(REQUESTED, f"a token of {said}", request(put("token", "data")([value])))
        for said, value in WRONG.items()
        if said != "-1"
    ),
    Case(REQUESTED, "a token of 2^40", request(put("token", "data")([2**40]))),
    Case(REQUESTED, "a token with a fraction", request(put("token", "data")([1.5]))),
    Case(REQUESTED, "a number that float32 lacks", request(put("memory", "data")([1e300, 0]))),
    Case(REQUESTED, "another name", request(lambda body: {MARKER: body["token"]})),
    Case(REQUESTED, "a name less", request(lambda body: {"token": body["token"]})),
    Case(REQUESTED, "a name more", request(lambda body: body.update({MARKER: body["token"]}))),
    Case(REQUESTED, "a shape of millions", request(put("token", "shape")([1 << 40]))),
)
CASES = (
    *LEDGER_CASES,
    *STATEMENT_CASES,
    *COMPARED_CASES,
    *SUMMARY_CASES,
    *ROUNDS_CASES,
    *array_files(WEIGHTS),
    *array_files(CHECKPOINT),
    *said_of_run("totals"),
    *said_of_run("totals", "server_round"),
    *said_of_run("totals", "stopped_early", skip=("text", "null", "escapes")),
    *said_of_run("layout"),
    *PHONES_CASES,
    *MANIFEST_CASES,
    *MODEL_CASES,
    *REQUEST_CASES,
)
