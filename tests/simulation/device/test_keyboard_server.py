import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from importlib.metadata import version

import numpy as np
import pytest

from client_model.metrics.table import metric_table
from client_model.tflite.interpreter import FileSteps, open_interpreter
from client_model.tflite.tflite_metadata import read_associated_files, with_metadata
from simulation.device import litert_package
from simulation.device.keyboard_server import KeyboardServer, open_model
from simulation.device.litert_package import LiteRtUnavailableError, litert_files
from simulation.device.model_card import associated_files
from simulation.processes import listeners
from tests.conftest import ROOT
from tests.simulation.device.keyboard_model import VOCABULARY
from tests.simulation.device.test_model_card import PRIVACY
from tests.waiting import PATIENCE_S
from typefleet.errors import ConfigError


@pytest.fixture(scope="module")
def run(small_models):
    return small_models[0]


@pytest.fixture(scope="module")
def server(run):
    server = KeyboardServer([open_model(run)], {}, "for a test", 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def ask(server, method, path, body=None, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=PATIENCE_S)
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    return answer.status, answer.read(), dict(answer.getheaders())


def test_the_page_and_its_files_are_served_with_a_policy_that_keeps_them_here(server):
    status, page, headers = ask(server, "GET", "/")
    assert status == 200 and b"<title>Typefleet keyboard</title>" in page
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "connect-src 'self'" in policy and "http" not in policy
    for path, kind in (
        ("/page.js", "text/javascript"),
        ("/keyboard.css", "text/css"),
        ("/blocklist.txt", "text/plain"),
    ):
        status, content, headers = ask(server, "GET", path)
        assert status == 200 and content and headers["Content-Type"].startswith(kind)
    about = json.loads(ask(server, "GET", "/models.json")[1])
    assert about["engine"] == "local" and about["why_local"] == "for a test"
    (model,) = about["models"]
    assert model["files"] == ["keyboard.tflite", "keyboard_train.tflite"]
    assert model["state"] == {"hidden": 16, "cell": 32}
    assert ask(server, "GET", "/models/0/vocab.txt")[1].decode() == VOCABULARY.to_text()


def test_the_page_is_told_the_state_of_whatever_cell_a_file_has(small_models):
    described = [open_model(root).describe(place) for place, root in enumerate(small_models)]
    assert [model["state"] for model in described] == [{"hidden": 16, "cell": 32}, {"memory": 32}]


def test_the_page_is_told_what_a_file_does_not_have_and_what_it_is_of(run):
    described = open_model(run).describe(0)
    assert described["not_guaranteed"] is None and described["privacy"] == PRIVACY["statement"]
    assert described["keystrokes"]["saved"] == 0.3684 and described["keystrokes"].keys() >= {"bigram", "trigram"}
    facts = described["facts"]
    assert facts["weights_sha256"] == "ab" * 32 and facts["version"] == version("typefleet")
    assert facts["assumed_population"] == 1_315_000 and facts["delta_rule"] == "some" and facts["delta"] == 1e-7
    assert described["learn_command"].endswith(f"scripts/export_model.py {run}")


def test_what_counting_saves_is_told_where_the_owners_summary_lies(run, tmp_path):
    folder = shutil.copytree(run, tmp_path / "run")
    known = {"baseline_bigram_keystroke_savings": 0.41, "baseline_trigram_keystroke_savings": None}
    for digest, bigram in (("ab" * 32, 0.41), ("cd" * 32, None)):  # of these weights, of others
        (folder / "summary.json").write_text(json.dumps({"weights_sha256": digest, **known}))
        keystrokes = open_model(folder).describe(0)["keystrokes"]
        assert (keystrokes["bigram"], keystrokes["trigram"]) == (bigram, None)


def test_the_date_is_that_of_the_statement_of_the_same_weights(run, tmp_path):
    folder = shutil.copytree(run, tmp_path / "run")
    assert open_model(folder).date is None
    for digest, date in (("ab" * 32, "2026-11-29"), ("cd" * 32, None)):
        (folder / "privacy.json").write_text(json.dumps({"weights_sha256": digest, "date": "2026-11-29"}))
        assert open_model(folder).date == date


def test_a_file_of_an_earlier_version_is_served_and_says_what_it_can(run):
    model = open_model(run)
    privacy = {**model.card["privacy"], "epsilon_is_of": "a modelled deployment with 20,000 reports a round"}
    for name in ("not_guaranteed", "assumed_population", "population_rule", "delta_rule"):
        del privacy[name]
    described = replace(model, card={**model.card, "privacy": privacy}).describe(0)
    assert "the phones of this simulation do not have it" in described["not_guaranteed"]
    assert described["facts"]["assumed_population"] is described["facts"]["delta_rule"] is None


def test_a_training_file_that_was_written_since_is_there_after_a_reload(run, tmp_path):
    folder = shutil.copytree(run, tmp_path / "run")
    training = folder / "model" / "keyboard_train.tflite"
    whole = training.read_bytes()
    training.unlink()
    server = KeyboardServer([open_model(folder)], {}, "for a test", 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        told = lambda: json.loads(ask(server, "GET", "/models.json")[1])["models"][0]  # noqa: E731
        assert told()["files"] == ["keyboard.tflite"] and told()["learn_problem"] is None
        assert ask(server, "GET", "/models/0/keyboard_train.tflite")[0] == 404
        training.write_bytes(other_weights(whole))
        assert told()["files"] == ["keyboard.tflite"] and "expected weights" in told()["learn_problem"]
        training.write_bytes(whole)
        assert told()["files"] == ["keyboard.tflite", "keyboard_train.tflite"] and told()["learn_problem"] is None
        assert ask(server, "GET", "/models/0/keyboard_train.tflite")[1] == whole
    finally:
        server.shutdown()
        server.server_close()


def test_the_story_of_a_phone_is_told_to_who_knows_its_address_alone(run):
    story = json.dumps({"title": "What left phone 00", "sections": []}).encode()
    server = KeyboardServer([open_model(run)], {}, "for a test", 0, story=story)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        address, _, key = server.page_address.partition("#")
        assert address == server.address and len(key) >= 20
        assert ask(server, "GET", f"/phone/{key}.json")[1] == story
        for other in ("/phone/.json", "/phone/", f"/phone/{key[:-1]}.json"):
            assert ask(server, "GET", other)[0] == 404
        assert key.encode() not in ask(server, "GET", "/models.json")[1] + ask(server, "GET", "/")[1]
    finally:
        server.shutdown()
        server.server_close()


def test_the_page_says_how_to_name_a_phone_where_the_records_of_the_run_are(run, tmp_path):
    folder = shutil.copytree(run, tmp_path / "run")
    (folder / "checkpoints").mkdir()
    records = ["config.toml", "rounds.jsonl", "privacy_ledger.jsonl", "checkpoints/checkpoint-000001.npz"]
    for name in records:
        assert open_model(folder).describe(0)["phone_command"] is None
        (folder / name).write_text("")
    assert open_model(folder).describe(0)["phone_command"].endswith(f"keyboard_demo.py {folder} --phone NAME")


@pytest.mark.parametrize("path", ["/../pyproject.toml", "/models/0/../../x", "/models/1/keyboard.tflite", "/%2e%2e/x"])
def test_nothing_else_is_served(server, path):
    assert ask(server, "GET", path)[0] == 404


def test_other_names_and_other_pages_are_refused(server):
    assert ask(server, "GET", "/", Host="evil.example")[0] == 403
    assert ask(server, "POST", "/reset/0/keyboard.tflite", "{}", Origin="http://evil.example")[0] == 403
    assert ask(server, "POST", "/reset/0/keyboard.tflite", "{}", Host="evil.example")[0] == 403
    port = server.server_address[1]
    assert ask(server, "GET", "/", Host=f"localhost:{port}")[0] == 200


def step_inputs(token):
    return {
        "token": {"shape": [1], "dtype": "int32", "data": [token]},
        "hidden": {"shape": [1, 16], "dtype": "float32", "data": [0.0] * 16},
        "cell": {"shape": [1, 32], "dtype": "float32", "data": [0.0] * 32},
    }


def test_a_signature_runs_as_in_the_interpreter(server, run):
    status, content, _ = ask(server, "POST", "/run/0/keyboard.tflite/step", json.dumps(step_inputs(9)))
    assert status == 200
    found = json.loads(content)
    file = (run / "model" / "keyboard.tflite").read_bytes()
    logits, ids = FileSteps(open_interpreter(file)).read(np.array([9], np.int32))
    assert found["ids"]["data"] == ids[0].tolist() and found["ids"]["dtype"] == "int32"
    np.testing.assert_array_equal(np.array(found["logits"]["data"], np.float32), logits[0])


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/run/0/keyboard.tflite/dance", json.dumps(step_inputs(9))),
        ("/run/7/keyboard.tflite/step", json.dumps(step_inputs(9))),
        ("/run/0/other.tflite/step", json.dumps(step_inputs(9))),
        ("/run/0/keyboard.tflite/step", "{"),
        ("/run/0/keyboard.tflite/step", json.dumps({"token": {"shape": [1], "dtype": "int32", "data": [1]}})),
        ("/run/0/keyboard.tflite/step", json.dumps({"token": {"shape": [1], "dtype": "object", "data": [1]}})),
        ("/run/0/keyboard.tflite/step", json.dumps({**step_inputs(9), "hidden": step_inputs(9)["cell"]})),
        ("/run/x", "{}"),
        ("/dance/0/keyboard.tflite", "{}"),
    ],
)
def test_requests_that_do_not_fit_are_refused_with_a_reason(server, path, body):
    status, content, _ = ask(server, "POST", path, body)
    assert status == 400 and json.loads(content)["error"]
    assert ask(server, "POST", "/run/0/keyboard.tflite/step", json.dumps(step_inputs(9)))[0] == 200  # still alive


def test_requests_of_no_or_absurd_size_are_refused(server):
    assert ask(server, "POST", "/run/0/keyboard.tflite/step", **{"Content-Length": str(1 << 40)})[0] == 413


def other_weights(file):
    """The same file with a card that names other weights."""
    inside = read_associated_files(file)
    card = {**json.loads(inside["model_card.json"]), "weights_sha256": "cd" * 32}
    return with_metadata(file, *associated_files(card, inside["vocab.txt"], metric_table()))


def test_a_run_without_exported_files_is_one_line(tmp_path, run, script):
    with pytest.raises(ConfigError, match=r"keyboard.tflite: expected an exported model"):
        open_model(tmp_path)
    bare = tmp_path / "bare" / "model"
    bare.mkdir(parents=True)
    (bare / "keyboard.tflite").write_bytes(b"no archive at the end")
    with pytest.raises(ConfigError, match="expected files inside it, found none"):
        open_model(tmp_path / "bare")
    mixed = shutil.copytree(run, tmp_path / "mixed") / "model"
    (mixed / "keyboard_train.tflite").write_bytes(other_weights((mixed / "keyboard_train.tflite").read_bytes()))
    with pytest.raises(ConfigError, match=r"keyboard_train.tflite: expected weights .*export_model.py .* writes all"):
        open_model(tmp_path / "mixed")
    done = script("keyboard_demo.py", tmp_path)
    assert done.returncode == 2 and done.stderr.startswith("error: ") and done.stderr.count("\n") == 1


def test_without_npm_the_script_says_so_and_serves_all_the_same(run, tmp_path):
    environment = {**os.environ, "PATH": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    command = [sys.executable, str(ROOT / "scripts/keyboard_demo.py"), str(run), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        address, where = process.stdout.readline().strip(), process.stdout.readline()
        assert where.startswith(
            "The model runs in this process, not in the page: npm: expected a command of that name, found none"
        )
        connection = http.client.HTTPConnection(address.removeprefix("http://").strip("/"), timeout=PATIENCE_S)
        connection.request("GET", "/models.json")
        assert (
            json.loads(connection.getresponse().read())["why_local"]
            == "npm: expected a command of that name, found none"
        )
        assert [one.is_local for one in listeners([process.pid])] == [True]
    finally:
        process.send_signal(signal.SIGTERM)  # Ctrl-C comes to the same
        _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0 and not errors


def test_a_runtime_that_is_not_the_expected_one_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = tmp_path / "typefleet" / f"litertjs-{litert_package.VERSION}" / "@litertjs" / "core" / "dist"
    folder.mkdir(parents=True)
    with pytest.raises(LiteRtUnavailableError, match=r"no such file or directory; remove"):
        litert_files()
    (folder / "index.js").write_text("another")
    with pytest.raises(LiteRtUnavailableError, match=r"index.js: expected sha256 .*, found another file"):
        litert_files()


@pytest.mark.skipif(shutil.which("sh") is None, reason="needs a shell to play npm")
def test_a_failed_installation_leaves_nothing(tmp_path, monkeypatch):
    npm = tmp_path / "bin" / "npm"
    npm.parent.mkdir()
    npm.write_text("#!/bin/sh\necho 'npm error network' >&2\nexit 1\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{npm.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(LiteRtUnavailableError, match=r"npm: expected it to install LiteRT.js, found npm error network"):
        litert_files()
    assert not list((tmp_path / "cache" / "typefleet").iterdir())
