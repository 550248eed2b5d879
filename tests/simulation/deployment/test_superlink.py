"""A real SuperLink with TLS and node keys, two SuperNodes and `flwr run`, by the commands of docs/deployment.md."""

import json
import os
import signal

import pytest

from simulation.deployment.keys import make_keys
from simulation.flags import parse_simulate, to_toml
from tests.simulation.conftest import WEIGHTS_ONLY
from tests.simulation.deployment.deployed import Deployment
from tests.simulation.engine_in_process import simulate

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
    flags += ["--data.min-phones-a-word", "2"]
    flags += ["--engine.kernel", "tensorflow"]  # Flower's bundle of the app has nothing that is compiled
    flags += ["--evaluation.max-phones", "1"]  # by one message: each is a process of its own
    return flags if output_dir is None else [*flags, "--output-dir", str(output_dir)]


def hashes(run):
    """Of the weights after each round that is written down so far."""
    file = run / "rounds.jsonl"
    lines = file.read_text().split("\n")[:-1] if file.exists() else []
    return [json.loads(line)["weights_sha256"] for line in lines]


def run_here(folder, rounds, deployment):
    """The hashes of the same run in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        simulate([*settings(deployment.text, rounds), "--output-dir", str(folder / "run")])
    return hashes(folder / "run")


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
    places = {"/srv/typefleet/run.toml": str(config), "/srv/typefleet/runs/deployed": str(deployment.folder / name)}
    return deployment.flwr(deployment.words("flwr", places), f"flwr-{name}")


def end_in_a_round(deployment, name, node, how, receiving=1):
    """End a SuperNode as soon as it has a message to train on in hand, for the `receiving`th time."""
    deployment.wait_until(name, r"(?s)Receiving: train" + r".*Receiving: train" * (receiving - 1))
    os.kill(node.pid, how)


def start_strangers(deployment):
    """SuperNodes that nobody knows, and one who knows nobody."""
    make_keys(deployment.folder / "others", ["localhost", "127.0.0.1"], [], 1)
    others = {"nodes/berlin": "nodes/paris", "keys/ca.crt": "others/ca.crt"}
    return {
        "unknown": deployment.start_node("unknown"),
        "stranger": deployment.start_node("stranger", others),
        "keyless": deployment.start_node("keyless", without="--auth-supernode-private-key"),
    }


@pytest.fixture(scope="module")
def two_rounds(deployment, tmp_path_factory):
    """Two rounds of a run, in the first of which a SuperNode is stopped, while strangers knock."""
    nodes = {name: deployment.start_node(name) for name in ("berlin", "paris")}
    begin_run(deployment, 3, "stopped")
    strangers = start_strangers(deployment)
    distrusting = deployment.flwr(["flwr", "supernode", "list", "others"], "distrusting")
    here = run_here(tmp_path_factory.mktemp("here"), 3, deployment)
    deployment.wait_until("berlin", "Receiving")
    listening = deployment.listening()
    end_in_a_round(deployment, "paris", nodes["paris"], signal.SIGTERM)
    found = deployment.folder / "stopped"
    deployment.wait_for(lambda: len(hashes(found)) >= 2, "flwr-stopped")
    yield {
        "here": here,
        "found": hashes(found),
        "listening": listening,
        "strangers": strangers,
        "distrusting": distrusting,
    }
    nodes["berlin"].terminate()


def test_two_supernodes_have_the_weights_of_one_process_though_one_is_stopped_in_a_round(deployment, two_rounds):
    assert len(two_rounds["here"]) == 3 and two_rounds["found"] == two_rounds["here"][: len(two_rounds["found"])]
    assert "Sending: train" not in deployment.said("paris")  # what it had in hand was done by the other
    assert "Sending: train" in deployment.said("berlin")
    texts = [set((deployment.folder / m / "cache" / "typefleet").iterdir()) for m in ("superlink", "berlin")]
    assert {path.name for path in texts[0]} == {path.name for path in texts[1]}  # made by each of its own copy


def test_nothing_listens_beyond_this_machine(two_rounds):
    listening = two_rounds["listening"]
    assert listening and all(address.is_loopback for address in listening), listening


def test_strangers_are_refused(deployment, two_rounds):
    """A key that is not registered, a server of another authority, no key."""
    strangers = two_rounds["strangers"]
    assert {name: process.wait(60) for name, process in strangers.items()} == dict.fromkeys(strangers, 1)
    assert "No SuperNode found with the given public key" in deployment.said("unknown")
    assert "CERTIFICATE_VERIFY_FAILED" in deployment.said("stranger")
    assert "SuperNode ID" not in "".join(map(deployment.said, strangers))


def test_flwr_refuses_a_server_of_another_authority(deployment, two_rounds):
    assert two_rounds["distrusting"].wait(60) != 0
    assert "Connection to the SuperLink is unavailable" in deployment.said("distrusting")


@pytest.mark.nightly
def test_a_whole_run_has_the_same_weights_though_a_supernode_is_killed_in_a_round(deployment, tmp_path):
    """A minute more: so long Flower takes to notice."""
    nodes = {name: deployment.start_node(name) for name in ("berlin", "paris")}
    before = deployment.said("berlin").count("Sending: train")  # in another test
    run = begin_run(deployment, 3, "killed")
    end_in_a_round(deployment, "berlin", nodes["berlin"], signal.SIGKILL, receiving=2)
    here = run_here(tmp_path, 3, deployment)
    assert run.wait(240) == 0
    assert hashes(deployment.folder / "killed") == here and len(here) == 3, deployment.said("flwr-killed")
    assert deployment.said("berlin").count("Sending: train") == before + 1
    nodes["paris"].terminate()
