"""What lies inside the files that are published, held to the run: cards, vocabularies and test vectors.

The manifest of a run can be made anew by whoever changes a file. So the card inside is made again from settings,
summary and statement, the vocabulary inside is that of vocab.txt, and the sentences of the test vectors are our own.
The graph of a file is not: that it is of these weights only an export shows, and afterwards a signature.
"""

import json
import re
from pathlib import Path
from typing import Any

from client_model.learning.language_model import model_shape
from client_model.metrics.table import metric_table
from simulation.files import read_json_object
from simulation.flags import read_config
from simulation.run.directory import RunDirectory
from simulation.run.ledger_head import IN_BRIEF, head_of
from simulation.subcommands import command
from typefleet.errors import ConfigError, expected
from typefleet.untrusted.limits import MODEL_BYTES
from typefleet.untrusted.opening import read_bytes, read_text
from typefleet.untrusted.own_json import parse_json

GRAPH = (
    "That the network in a file for phones is the one of weights.npz was checked when it was exported, and is not "
    "checked again here: who passes the files on can exchange it, unless the manifest is signed."
)
_VERSION = re.compile(r"[0-9]+(\.[0-9a-z+]+)*")
_OTHERWISE = "something else"
_MEASURED = ("metrics_on_held_out_phones", "metrics_are")


def own_card(path: Path, card: dict[str, Any], vocabulary: str) -> dict[str, Any]:
    """The card that a run gives a model file, if the one inside says nothing else.

    Args:
        path: of the file, in the model folder of its run.
        card, vocabulary: inside it.

    Raises:
        ConfigError: something else is inside; it names the place in the card.
    """
    from simulation.device.model_card import model_card

    root, where = path.parents[1], f"{path}: model_card.json"
    words = read_text(path.with_name("vocab.txt"), "a vocabulary", ConfigError, MODEL_BYTES)
    if vocabulary != words:
        raise ConfigError(f"{expected(path, 'the words of vocab.txt inside it', _OTHERWISE)}; {_anew(root)}")
    config, summary = read_config(root / "config.toml", begun=True), RunDirectory(root).read_summary()
    privacy = read_json_object(root / "privacy.json", "the privacy statement of a run")
    head = head_of(root)
    privacy["ledger"] = {name: head[name] for name in IN_BRIEF}
    shape = model_shape(config.model, words.rstrip("\n").count("\n") + 1)
    own: dict[str, Any] = json.loads(json.dumps(model_card(config, shape, summary, privacy, metric_table())))
    version = card.get("typefleet_version")
    if isinstance(version, str) and _VERSION.fullmatch(version):
        own["typefleet_version"] = version  # which may be another one than is installed here
    for place in _differences(own, card):
        what = "what settings, summary and statement say"
        raise ConfigError(f"{expected(f'{where}: {place}', what, _OTHERWISE)}; {_anew(root)}")
    measured = card["metrics_on_held_out_phones"]
    own["metrics_on_held_out_phones"] |= {n: summary.held_out[n] for n in measured if n in summary.held_out}
    return own


def _differences(own: dict[str, Any], card: dict[str, Any], within: str = "") -> list[str]:
    """Places where a card says otherwise; a key that no card has is not repeated."""
    found = []
    for name in own.keys() | card.keys():
        if not within and name in _MEASURED:
            continue
        if within == "trained_on." and name == "tokens":  # of earlier versions; it is taken out
            continue
        one, other = own.get(name), card.get(name)
        if name not in own:
            found.append(f"{within}a key more")
        elif isinstance(one, dict) and isinstance(other, dict):
            found += _differences(one, other, f"{within}{name}.")
        elif name not in card or json.dumps(one, sort_keys=True) != json.dumps(other, sort_keys=True):
            found.append(f"{within}{name}")
    return sorted(found)


def require_measured(path: Path, own: dict[str, Any], card: dict[str, Any]) -> None:
    """Refuse metrics that the run's summary does not have.

    Raises:
        ConfigError: there are some.
    """
    for name in _MEASURED:
        if own[name] != card.get(name):
            where = f"{path}: model_card.json: {name}"
            raise ConfigError(f"{expected(where, 'what summary.json says', _OTHERWISE)}; {_anew(path.parents[1])}")


def require_own_vectors(path: Path) -> None:
    """Refuse test vectors that hold anything but our sentences and the words of the vocabulary.

    Args:
        path: of test_vectors.json, in the model folder of its run.

    Raises:
        ConfigError: they do.
    """
    from client_model.text.vocabulary import Vocabulary
    from client_model.tflite.reference_vectors import reference_vectors

    words = read_text(path.with_name("vocab.txt"), "a vocabulary", ConfigError, MODEL_BYTES)
    vocabulary = Vocabulary(tuple(words.rstrip("\n").split("\n")))
    what = "test vectors"
    content = read_bytes(path, what, ConfigError, MODEL_BYTES)
    said, own = parse_json(content, path, what), json.loads(reference_vectors({}, vocabulary))
    files = {one.name for one in path.parent.glob("*.tflite")}
    try:
        for vector in said["vectors"]:
            for name, best in vector["expected"].items():
                fits = best == {"ids": best["ids"], "words": [vocabulary.tokens[i] for i in best["ids"]]}
                if name not in files or not fits:
                    raise KeyError
            vector["expected"] = {}
        is_own = json.dumps(said) == json.dumps(own)
    except (KeyError, TypeError, IndexError, AttributeError):
        is_own = False
    if not is_own:
        what = "sentences of ours, and words of the vocabulary"
        raise ConfigError(f"{expected(path, what, _OTHERWISE)}; {_anew(path.parents[1])}")


def _anew(root: Path) -> str:
    return f"{command('scripts/export_model.py', root)} writes all files anew"
