"""A finished run as signatures need it, made in milliseconds, and keys of people who sign it."""

import hashlib
import json
from dataclasses import asdict

import numpy as np

from client_model.tflite.export_folder import place_files
from server_strategy.privacy.ledger import PrivacyLedger
from simulation.files import write_npz_atomically
from simulation.run.ledger_head import write_head
from tests.server_strategy.privacy.test_ledger import ROUNDS, plan, play
from typefleet.signing.algorithms import new_key
from typefleet.signing.key_files import Signer, SigningKey

WEIGHTS = np.arange(6, dtype=np.float32)


def signing_key(role, holder, *, hybrid=False):
    """Somebody who may sign."""
    private = new_key(hybrid=hybrid)
    return SigningKey(Signer(role, holder, private.public), private)


def make_run(folder, weights=WEIGHTS):
    """Fill a folder with what a run of an earlier version has, whose statement is short, and holds."""
    (folder / "model").mkdir(parents=True)
    own = plan(min_separation_rounds=2)
    spent = play(PrivacyLedger(own, folder / "privacy_ledger.jsonl"), own, ROUNDS)
    digest = hashlib.sha256(weights.tobytes()).hexdigest()
    said = {"spent": asdict(spent), "epsilon_is_of": "this run", "weights_sha256": digest}
    (folder / "privacy.json").write_text(json.dumps(said))
    (folder / "privacy.md").write_text("**None.**\n")  # the headline of a statement without one
    (folder / "config.toml").write_text("seed = 5\n")
    write_npz_atomically(folder / "model" / "weights.npz", {"all": weights})
    (folder / "model" / "vocab.txt").write_text("a\nb\n")
    write_head(folder)
    export(folder)
    return folder


def export(folder, content=b"a network"):
    """Write the file for phones, and the manifest."""
    draft = folder / "draft"
    draft.mkdir()
    (draft / "keyboard.tflite").write_bytes(content)
    place_files(draft, folder / "model", {"weights.npz": {}}, ("weights.npz", "vocab.txt"))
    draft.rmdir()
