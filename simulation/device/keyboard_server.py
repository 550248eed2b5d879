"""Serves the keyboard page on this machine: the page, exported model files, and the runtime for the browser.

With LiteRT.js the files run inside the page and nothing that is typed leaves it: the content security policy allows
requests to this server only, and it has no address to send text to. Without LiteRT.js the page asks this process to
run the files' signatures (`POST /run/...`), and says so.

Requests must name this machine (`Host`), so that no web page elsewhere can reach the server through a name that it
points here; every POST, whether it runs a model or resets one, must come from the page itself where a browser says
whence it comes (`Origin`).
"""

import base64
import hashlib
import json
import math
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from client_model.text.vocabulary import Vocabulary, VocabularyError, vocabulary_from_text
from client_model.tflite.export_folder import FILES
from client_model.tflite.tried_file import Signatures, tried_file
from simulation.device.guarded_http import GuardedHandler, GuardedServer
from simulation.device.local_files import LocalFiles
from simulation.device.model_card import not_guaranteed, read_inside, require_weights
from simulation.files import read_json_object
from simulation.subcommands import command
from typefleet.data_files import data_folder
from typefleet.errors import ConfigError, expected, said_of
from typefleet.untrusted.limits import MODEL_BYTES
from typefleet.untrusted.opening import read_bytes
from typefleet.untrusted.own_json import parse_json

PAGE = data_folder("simulation.device", __file__, "keyboard_page") / "keyboard_page"
_SECRET_BYTES = 16
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
    ".tflite": "application/octet-stream",
}


def blocked_words() -> frozenset[str]:
    """The words that the page never suggests."""
    return frozenset((PAGE / "blocklist.txt").read_text(encoding="utf-8").split())


@dataclass(frozen=True)
class DemoModel:
    """An exported model as the page sees it."""

    root: Path
    """Folder of the run, as it was named."""
    card: dict[str, Any]
    vocabulary: str
    files: dict[str, bytes]
    """By name: keyboard.tflite, and keyboard_train.tflite where it was exported."""
    signatures: dict[str, Signatures]
    """Of each file."""
    date: str | None
    """Of the run's privacy statement; None where the folder has none, or one of other weights."""
    counting: Mapping[str, float | None] = field(default_factory=dict)
    """Keystrokes saved by counting words, by `bigram` and `trigram`; a folder that was passed on does not say it."""
    learn_problem: str | None = None
    """Why a training file that was written since could not be taken in."""

    @property
    def name(self) -> str:
        """Of the run's folder."""
        return self.root.resolve().name

    @property
    def lacks_training(self) -> bool:
        """Whether it cannot learn."""
        return FILES["training"] not in self.files

    @property
    def has_records(self) -> bool:
        """Whether its run's own records are here, by which what left a phone is told."""
        records = ("config.toml", "rounds.jsonl", "privacy_ledger.jsonl")
        kept = all((self.root / name).is_file() for name in records)
        return kept and any((self.root / "checkpoints").glob("checkpoint-*.npz"))

    def describe(self, place: int) -> dict[str, Any]:
        """What the page is told of it."""
        measured, privacy = self.card["metrics_on_held_out_phones"], self.card["privacy"]
        return {
            "name": self.name,
            "place": place,
            "state": self.signatures[FILES["int8"]].state_widths,
            "sequence_length": self.card["model"]["sequence_length"],
            "files": sorted(self.files),
            "top3_recall": measured["top3_recall"],
            "keystrokes": {
                "saved": measured.get("keystroke_savings"),
                **{one: measured.get(_counted(one), self.counting.get(one)) for one in ("bigram", "trigram")},
            },
            "privacy": privacy["statement"],
            "not_guaranteed": not_guaranteed(privacy),
            "facts": {
                "weights_sha256": self.card["weights_sha256"],
                "date": self.date,
                "version": self.card.get("typefleet_version"),  # None, as those below, in files of earlier versions
                **{name: privacy.get(name) for name in ("assumed_population", "population_rule", "delta_rule")},
                "delta": privacy["spent"].get("delta"),
            },
            "learn_command": command("scripts/export_model.py", self.root),
            "learn_problem": self.learn_problem,
            "phone_command": f"{command('scripts/keyboard_demo.py', self.root)} --phone NAME"
            if self.has_records
            else None,
        }


def open_model(root: Path) -> DemoModel:
    """A run's exported files.

    Raises:
        ConfigError: there are none, they have no vocabulary and model card inside, or are of different weights.
    """
    files: dict[str, bytes] = {}
    shipped, training = root / "model" / FILES["int8"], root / "model" / FILES["training"]
    if not shipped.exists():
        writes_it = f"{command('scripts/export_model.py', root)} writes it"
        raise ConfigError(expected(shipped, "an exported model", f"none; {writes_it}"))
    files[shipped.name], card, vocabulary = read_model_file(shipped)
    signatures = {shipped.name: tried_file(shipped, files[shipped.name])}
    tokens = signatures[shipped.name].vocabulary_size
    if len(vocabulary) != tokens:
        raise ConfigError(expected(f"{shipped}: vocab.txt", f"the {tokens} tokens of its model", len(vocabulary)))
    if training.exists():
        files[training.name], card_of_training, _ = read_model_file(training)
        require_weights(training, card_of_training, card["weights_sha256"])
        signatures[training.name] = tried_file(training, files[training.name])
    date, counting = _date_of(root, card["weights_sha256"]), _counting_of(root, card["weights_sha256"])
    text = vocabulary.to_text()
    return DemoModel(root, card, text, files, signatures=signatures, date=date, counting=counting)


def _counted(kind: str) -> str:
    return f"baseline_{kind}_keystroke_savings"


def _counting_of(root: Path, weights_sha256: str) -> dict[str, float | None]:
    """What counting saves by the run's summary, which is the owner's; a file for phones does not tell it."""
    path = root / "summary.json"
    summary = read_json_object(path, "the outcome of a run") if path.exists() else {}
    if summary.get("weights_sha256") != weights_sha256:
        return {}
    found = {kind: summary.get(_counted(kind)) for kind in ("bigram", "trigram")}
    return {kind: value if type(value) is float and math.isfinite(value) else None for kind, value in found.items()}


def read_model_file(path: Path) -> tuple[bytes, dict[str, Any], Vocabulary]:
    """(content, model card, vocabulary) of an exported file; it is not run.

    Raises:
        ConfigError: it cannot be read, or has no card or vocabulary inside that can be used.
    """
    file = read_bytes(path, "an exported model", ConfigError, MODEL_BYTES)
    card, text = read_inside(path, file)
    try:
        return file, card, vocabulary_from_text(text)
    except VocabularyError as error:
        raise ConfigError(said_of(f"{path}: vocab.txt", error)) from error


def _date_of(root: Path, weights_sha256: str) -> str | None:
    """When the statement of these weights was written; the file itself says nothing that differs between equal runs."""
    path = root / "privacy.json"
    statement = read_json_object(path, "the privacy statement of a run") if path.exists() else {}
    date = statement.get("date") if statement.get("weights_sha256") == weights_sha256 else None
    return date if isinstance(date, str) else None


class KeyboardServer(GuardedServer):
    """The page and all it needs, on 127.0.0.1.

    Args:
        models: one, or two to compare.
        litert: files of LiteRT.js; empty lets this process run the models.
        why_local: why there is no LiteRT.js, for the page to say.
        port: 0 for any that is free.
        story: of one phone of the first model's run, as JSON. It is about one person, and so told to those alone who
            know `page_address`: another user of this machine reaches the page, and not this.
    """

    def __init__(
        self,
        models: list[DemoModel],
        litert: dict[str, bytes],
        why_local: str,
        port: int,
        *,
        story: bytes | None = None,
    ) -> None:
        self.contents = {f"/{path.name}": path.read_bytes() for path in PAGE.iterdir() if path.suffix in _TYPES}
        self.contents["/"] = self.contents.pop("/index.html")
        self.contents |= {f"/litert/{name}": content for name, content in litert.items()}
        self._opens_story = "" if story is None else f"#{secrets.token_urlsafe(_SECRET_BYTES)}"
        if story is not None:
            self.contents[f"/phone/{self._opens_story[1:]}.json"] = story
        self.models = list(models)
        self._engine = {"engine": "litert" if litert else "local", "why_local": why_local}
        self._put_models()
        self.local = None if litert else LocalFiles(self.models)
        self.policy = _content_policy(self.contents["/"].decode())
        super().__init__(port, _Handler)

    @property
    def page_address(self) -> str:
        """URL of the page, with what opens the story."""
        return self.address + self._opens_story

    def look_again(self) -> None:
        """Take in training files that were written since, so that reloading the page is enough to learn."""
        for place, model in enumerate(self.models):
            if model.lacks_training and (model.root / "model" / FILES["training"]).exists():
                try:
                    self.models[place] = open_model(model.root)
                except ConfigError as error:
                    self.models[place] = replace(model, learn_problem=f"{error}.")  # the page says it
        self._put_models()

    def _put_models(self) -> None:
        described = [model.describe(place) for place, model in enumerate(self.models)]
        self.contents["/models.json"] = json.dumps({**self._engine, "models": described}).encode()
        for place, model in enumerate(self.models):
            self.contents |= {f"/models/{place}/{name}": content for name, content in model.files.items()}
            self.contents[f"/models/{place}/vocab.txt"] = model.vocabulary.encode()


def _content_policy(page: str) -> str:
    """Nothing but this server, and the one inline script: the import map."""
    inline = re.findall(r"<script type=\"importmap\">(.*?)</script>", page, re.DOTALL)
    hashes = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'" for s in inline)
    return (
        "default-src 'none'; connect-src 'self'; style-src 'self'; img-src 'self' data:; base-uri 'none'; "
        f"form-action 'none'; frame-ancestors 'none'; script-src 'self' 'wasm-unsafe-eval' {hashes}"
    )


class _Handler(GuardedHandler):
    server: KeyboardServer

    def get(self) -> tuple[int, bytes, str]:
        """A file of the page or of a model."""
        if self.path == "/models.json":
            self.server.look_again()
        content = self.server.contents.get(self.path)
        if content is None:
            return 404, b"not found", _TYPES[".txt"]
        return 200, content, _TYPES[".html" if self.path == "/" else Path(self.path).suffix]

    def accepts_post(self) -> tuple[int, str] | None:
        """/run/PLACE/FILE/SIGNATURE, whose body is the inputs, and /reset/PLACE/FILE."""
        local, parts = self.server.local, self.path.split("/")[1:]
        if local is None:
            return 404, "the page runs the models itself"
        if len(parts) == 4 and parts[0] == "run" and local.signature(*parts[1:]) is not None:
            return None
        if len(parts) == 3 and parts[0] == "reset" and local.has(*parts[1:]):
            return None
        return 400, "expected a signature of a model that is shown, found none"

    def post(self, body: bytes) -> tuple[int, bytes, str]:
        """Outputs as JSON, or why there are none."""
        local, (action, place, file, *signature) = self.server.local, self.path.split("/")[1:]
        if local is None:  # as accepts_post has seen
            return 404, b"not found", _TYPES[".txt"]
        answer: dict[str, Any] = {}
        try:
            if action == "run":
                answer = local.run(place, file, signature[0], parse_json(body, "the request", "inputs"))
            else:
                local.reset(place, file)
        except ConfigError as error:
            return 400, json.dumps({"error": str(error)}).encode(), _TYPES[".json"]
        return 200, json.dumps(answer).encode(), _TYPES[".json"]
