"""Serves the keyboard page on this machine: the page, exported model files, and the runtime for the browser.

With LiteRT.js the files run inside the page and nothing that is typed leaves it: the content security policy allows
requests to this server only, and it has no address to send text to. Without LiteRT.js the page asks this process to
run the files' signatures (`POST /run/...`), and says so.

Requests must name this machine (`Host`), so that no web page elsewhere can reach the server through a name that it
points here; what changes anything must come from the page itself (`Origin`).
"""

import base64
import hashlib
import json
import re
import threading
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

from client_model.tflite.export_folder import FILES
from client_model.tflite.flatbuffer_model import state_widths
from simulation.device.model_card import not_guaranteed, read_inside, require_weights
from simulation.files import read_json_object
from simulation.subcommands import command
from typefleet.errors import ConfigError, expected

PAGE = Path(__file__).parent / "keyboard_page"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
    ".tflite": "application/octet-stream",
}
_MOST_BYTES = 64 << 20  # of a request


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
    date: str | None
    """Of the run's privacy statement; None where the folder has none, or one of other weights."""
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

    def describe(self, place: int) -> dict[str, Any]:
        """What the page is told of it."""
        measured, privacy = self.card["metrics_on_held_out_phones"], self.card["privacy"]
        return {
            "name": self.name,
            "place": place,
            "state": state_widths(self.files[FILES["int8"]]),
            "sequence_length": self.card["model"]["sequence_length"],
            "files": sorted(self.files),
            "top3_recall": measured["top3_recall"],
            "keystrokes": {
                "saved": measured.get("keystroke_savings"),
                **{one: measured.get(f"baseline_{one}_keystroke_savings") for one in ("bigram", "trigram")},
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
    files[shipped.name] = shipped.read_bytes()
    card, vocabulary = read_inside(shipped, files[shipped.name])
    if training.exists():
        files[training.name] = training.read_bytes()
        require_weights(training, read_inside(training, files[training.name])[0], card["weights_sha256"])
    return DemoModel(root, card, vocabulary, files, _date_of(root, card["weights_sha256"]))


def _date_of(root: Path, weights_sha256: str) -> str | None:
    """When the statement of these weights was written; the file itself says nothing that differs between equal runs."""
    path = root / "privacy.json"
    statement = read_json_object(path, "the privacy statement of a run") if path.exists() else {}
    date = statement.get("date") if statement.get("weights_sha256") == weights_sha256 else None
    return date if isinstance(date, str) else None


class LocalFiles:
    """Model files run by this process, for pages without a runtime of their own."""

    def __init__(self, models: list[DemoModel]) -> None:
        self._models, self._lock = models, threading.Lock()
        self._opened: dict[tuple[int, str], Any] = {}

    def run(self, place: int, file: str, signature: str, inputs: dict[str, Any]) -> dict[str, Any]:
        """Run a signature.

        Args:
            place, file: which model, which of its files.
            signature: of the file.
            inputs: by name {shape, dtype, data}.

        Returns:
            Outputs of the same form.

        Raises:
            ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError: there is no such thing, or the
                inputs do not fit.
        """
        arrays = {
            name: np.array(one["data"], {"int32": np.int32, "float32": np.float32}[one["dtype"]]).reshape(one["shape"])
            for name, one in inputs.items()
        }
        with self._lock:
            found = self._open(place, file).get_signature_runner(signature)(**arrays)
        return {
            name: {"shape": list(value.shape), "dtype": str(value.dtype), "data": value.ravel().tolist()}
            for name, value in found.items()
        }

    def reset(self, place: int, file: str) -> None:
        """Forget what a file has learned."""
        with self._lock:
            self._opened.pop((place, file), None)

    def _open(self, place: int, file: str) -> Any:
        from client_model.tflite.interpreter import open_interpreter  # takes a second; a page with LiteRT.js needs none

        if (place, file) not in self._opened:
            self._opened[place, file] = open_interpreter(self._models[place].files[file])
        return self._opened[place, file]


class KeyboardServer(ThreadingHTTPServer):
    """The page and all it needs, on 127.0.0.1.

    Args:
        models: one, or two to compare.
        litert: files of LiteRT.js; empty lets this process run the models.
        why_local: why there is no LiteRT.js, for the page to say.
        port: 0 for any that is free.
    """

    daemon_threads = True

    def __init__(self, models: list[DemoModel], litert: dict[str, bytes], why_local: str, port: int) -> None:
        self.contents = {f"/{path.name}": path.read_bytes() for path in PAGE.iterdir() if path.suffix in _TYPES}
        self.contents["/"] = self.contents.pop("/index.html")
        self.contents |= {f"/litert/{name}": content for name, content in litert.items()}
        self.models = list(models)
        self._engine = {"engine": "litert" if litert else "local", "why_local": why_local}
        self._put_models()
        self.local = None if litert else LocalFiles(self.models)
        self.policy = _content_policy(self.contents["/"].decode())
        super().__init__(("127.0.0.1", port), _Handler)

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

    @property
    def address(self) -> str:
        """URL of the page, on this machine only."""
        return f"http://127.0.0.1:{self.server_address[1]}/"


def _content_policy(page: str) -> str:
    """Nothing but this server, and the one inline script: the import map."""
    inline = re.findall(r"<script type=\"importmap\">(.*?)</script>", page, re.DOTALL)
    hashes = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'" for s in inline)
    return (
        "default-src 'none'; connect-src 'self'; style-src 'self'; img-src 'self' data:; base-uri 'none'; "
        f"form-action 'none'; frame-ancestors 'none'; script-src 'self' 'wasm-unsafe-eval' {hashes}"
    )


class _Handler(BaseHTTPRequestHandler):
    server: KeyboardServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if not self._is_for_this_machine():
            self._answer(403, b"this server answers to this machine only", ".txt")
            return
        if self.path == "/models.json":
            self.server.look_again()
        content = self.server.contents.get(self.path)
        if content is None:
            self._answer(404, b"not found", ".txt")
        else:
            self._answer(200, content, ".html" if self.path == "/" else Path(self.path).suffix)

    def do_POST(self) -> None:
        try:
            length = int(self.headers.get("Content-Length", ""))
        except ValueError:
            length = -1
        if not 0 <= length <= _MOST_BYTES:
            self.close_connection = True
            self._answer(413, b"expected a request of a stated size below 64 MiB", ".txt")
            return
        body = self.rfile.read(length)
        host = self.headers.get("Host")
        if not self._is_for_this_machine() or self.headers.get("Origin", f"http://{host}") != f"http://{host}":
            self._answer(403, b"this server answers to its own page only", ".txt")
        elif self.server.local is None:
            self._answer(404, b"the page runs the models itself", ".txt")
        else:
            self._run(self.server.local, body)

    def _run(self, local: LocalFiles, body: bytes) -> None:
        """Answer /run/PLACE/FILE/SIGNATURE, whose body is the inputs, or /reset/PLACE/FILE."""
        try:
            _, action, place, file, *signature = self.path.split("/")
            if action == "reset":
                local.reset(int(place), file)
                answer: dict[str, Any] = {}
            elif action == "run":
                answer = local.run(int(place), file, signature[0], json.loads(body))
            else:
                raise ValueError(expected("the action", "run or reset", repr(action)))
        except (ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError, RuntimeError) as error:
            self._answer(400, json.dumps({"error": str(error)}).encode(), ".json")
            return
        self._answer(200, json.dumps(answer).encode(), ".json")

    def _is_for_this_machine(self) -> bool:
        port = self.server.server_address[1]
        return self.headers.get("Host") in (f"127.0.0.1:{port}", f"localhost:{port}")

    def _answer(self, status: int, content: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", _TYPES[kind])
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Content-Security-Policy", self.server.policy)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cache-Control", "no-store")
        # A page on its own may measure time in microseconds.
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: what the page asks for is nobody's business."""
