"""A real SuperLink with TLS and node keys, two SuperNodes and `flwr run`, by the commands of docs/deployment.md."""

import json
import os
import signal
import subprocess
import sys

import pytest

from simulation.deployment.keys import make_keys
from simulation.flags import parse_simulate, to_toml
from tests.conftest import ROOT
from tests.simulation.conftest import WEIGHTS_ONLY
from tests.simulation.deployment.deployed import Deployment

pytestmark = pytest.mark.slow

WORDS = ["see", "you", "at", "the", "pool", "tonight", "or", "tomorrow", "if", "it", "is", "not", "too", "late"]


def write_text(path, people=40):
    """Messages of people; each writes the same words in another order."""
    lines = []
    for person in range(people):
        for number in range(12):
            shift = (person * 7 + number * 3) % len(WORDS)
            text = " ".join((WORDS[shift:] + WORDS[:shift])[: 5 + (person + number) % 6])
            lines.append(json.dumps({"user_id": f"person {person}", "text": text}))
    path.write_text("\n".join(lines))


def settings(text, rounds, output_dir=None):
    """Of a tiny run on a file; evaluated at its begin and its end only."""
    flags = [str(flag) for flag in WEIGHTS_ONLY]
    flags[flags.index("--data.format") + 1] = "jsonl"
    flags += ["--data.path", str(text), "--rounds", str(rounds), "--evaluation.every-rounds", str(rounds)]
    flags += ["--engine.no-report", "--data.min-phones-a-word", "1"]
    return flags if output_dir is None else [*flags, "--output-dir", str(output_dir)]


def hashes(run):
    return [json.loads(line)["weights_sha256"] for line in (run / "rounds.jsonl").read_text().splitlines()]


def run_here(folder, flags):
    """The hashes of the same run in one process."""
    command = [sys.executable, "-m", "tests.simulation.engine_in_process", *flags, "--output-dir", str(folder / "here")]
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "here-cache")}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return hashes(folder / "here")


@pytest.fixture(scope="module")
def deployment(tmp_path_factory):
    folder = tmp_path_factory.mktemp("deployed")
    write_text(folder / "messages.jsonl")
    made = Deployment(folder, folder / "messages.jsonl")
    try:
        made.start_superlink()
        made.register("berlin", "paris")
        yield made
    finally:
        made.close()


def begin_run(deployment, rounds, name):
    """`flwr run`, as the page has it."""
    config = deployment.folder / f"{name}.toml"
    config.write_text(to_toml(parse_simulate(settings(deployment.text, rounds)).run))
    places = {"/home/me/run.toml": str(config), "/home/me/runs/deployed": str(deployment.folder / name)}
    return deployment.flwr(deployment.words("flwr", places), f"flwr-{name}")


def end_a_node_in_a_round(deployment, node, name, how, receiving=1):
    """End a SuperNode as soon as it has a message to train on in hand, for the `receiving`th time."""
    deployment.wait_until(name, r"(?s)Receiving: train" + r".*Receiving: train" * (receiving - 1))
    os.kill(node.pid, how)


def test_two_supernodes_have_the_weights_of_one_process_though_one_of_them_is_stopped_in_a_round(deployment):
    rounds = 2
    nodes = [deployment.start_node(name) for name in ("berlin", "paris")]
    run = begin_run(deployment, rounds, "run")
    deployment.wait_until("berlin", "Receiving")
    listening = deployment.listening()
    end_a_node_in_a_round(deployment, nodes[1], "paris", signal.SIGTERM)
    expected = run_here(deployment.folder, settings(deployment.text, rounds))
    assert run.wait(120) == 0
    assert hashes(deployment.folder / "run") == expected, deployment.said("flwr-run")
    assert len(expected) == rounds and nodes[1].wait(20) is not None
    assert "Sending: train" not in deployment.said("paris")  # what it had in hand was done by the other
    assert listening and all(address.is_loopback for address in listening), listening
    nodes[0].terminate()


@pytest.mark.nightly
def test_the_weights_are_the_same_though_a_supernode_is_killed_in_a_round(deployment):
    """A minute more: so long Flower takes to notice."""
    rounds = 3
    nodes = [deployment.start_node(name) for name in ("berlin", "paris")]
    run = begin_run(deployment, rounds, "killed")
    end_a_node_in_a_round(deployment, nodes[0], "berlin", signal.SIGKILL, receiving=2)
    expected = run_here(deployment.folder, settings(deployment.text, rounds))
    assert run.wait(240) == 0
    assert hashes(deployment.folder / "killed") == expected, deployment.said("flwr-killed")
    assert deployment.said("berlin").count("Sending: train") == 1 and len(expected) == rounds


def test_strangers_are_refused(deployment):
    make_keys(deployment.folder / "others", ["localhost", "127.0.0.1"], [], 1)
    others = {"nodes/berlin": "nodes/paris", "keys/ca.crt": "others/ca.crt"}
    called = {
        "a key that is not registered": deployment.start_node("unknown"),
        "an authority that is not the server's": deployment.start_node("stranger", others),
        "no key": deployment.start_node("keyless", without="--auth-supernode-private-key"),
    }
    assert {case: process.wait(60) for case, process in called.items()} == dict.fromkeys(called, 1)
    assert "No SuperNode found with the given public key" in deployment.said("unknown")
    assert "CERTIFICATE_VERIFY_FAILED" in deployment.said("stranger")
    assert "SuperNode ID" not in "".join(map(deployment.said, ("unknown", "stranger", "keyless")))
    config = deployment.folder / "superlink" / "flower" / "config.toml"
    config.write_text(config.read_text().replace(str(deployment.keys), str(deployment.folder / "others")))
    assert deployment.flwr(["flwr", "supernode", "list", "tls"], "others").wait(60) != 0
