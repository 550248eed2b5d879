"""The starting weights that ship with the project: a vocabulary and models of public English.

The vocabulary has the words that are commonest over the corpus's sources, each source counting alike, so that a large
one does not crowd out the others; words that public English writes with a capital letter inside a sentence are names
and stay out, unless one of the sources writes them small (task dialogues write *new* for New York, and books *miss* for
a title; other sources have both as words); and the everyday words of people who write to each other, which books and
task dialogues hardly have, are in whatever the corpus says. No phone's text plays any part.

The weights are kept in half precision.
"""

import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt, Lt

from client_model.config import PUBLIC_SHAPES, DataConfig, ModelConfig
from client_model.learning.cells.door import CELLS
from client_model.learning.language_model import (
    ModelShape,
    Weights,
    initial_weights,
    model_shape,
    wanted_vocabulary_size,
)
from client_model.public_start import FOLDER, everyday_words
from client_model.text.formats.compressed import opened
from client_model.text.population import Population, open_population, prepare_population
from client_model.text.tokenising import user_digest
from client_model.text.vocabulary import PUNCTUATION, SPECIAL_TOKENS, Vocabulary, read_vocabulary, tokenize
from simulation.files import write_atomically, write_text_atomically
from typefleet.errors import ConfigError, expected, unreadable
from typefleet.untrusted.json_values import json_value
from typefleet.untrusted.limits import LINE_BYTES

_WRITTEN = re.compile(
    "[^\\W\\d_]+(?:['\N{RIGHT SINGLE QUOTATION MARK}][^\\W\\d_]+)*|[.!?]"
)  # words as they are spelled, and where sentences end
_FEWEST_CAPITALS = 3  # of a word, before it is taken for a name
_ENOUGH_SMALL = 10  # in one source, for a word that is none: a few are how a name was misspelled


@dataclass(frozen=True)
class PublicTraining:
    """Which public start is trained, and how."""

    shape: Literal["small", "deep", "large"] = "small"
    """small: the default model. deep: `--model.cell stacked`. large: `--model.preset large`."""
    epochs: Annotated[int, Ge(1)] = 2
    """Passes over the corpus."""
    source_passes: dict[str, Annotated[float, Ge(0)]] = field(default_factory=dict)
    """How often a pass goes over a source, such as `tatoeba 2`; once over each that is not named."""
    learning_rate: Annotated[float, Gt(0)] = 2.0
    """Step size at the start; it falls to 0."""
    max_gradient_norm: Annotated[float, Ge(0)] = 0.5
    """A longer gradient is scaled down to it; 0 for no bound."""
    seed: Annotated[int, Ge(0), Lt(2**63)] = 0
    """Key of the first weights and of the order."""


@dataclass
class _Counted:
    """The words of a corpus: how often per source, and how they are spelled inside a sentence."""

    by_source: dict[str, Counter[str]]
    capitals: dict[str, Counter[str]]  # by source
    small: dict[str, Counter[str]]

    def is_name(self, word: str) -> bool:
        """Whether the corpus as a whole, and each source that knows the word well, writes it with a capital letter."""
        capitals, small = (sum(of[word] for of in kind.values()) for kind in (self.capitals, self.small))
        if capitals < _FEWEST_CAPITALS or capitals <= small:
            return False
        return not any(of[word] >= max(_ENOUGH_SMALL, self.capitals[source][word]) for source, of in self.small.items())

    def shares(self) -> Counter[str]:
        """The mean over sources of a word's share of their tokens."""
        found: Counter[str] = Counter()
        for counts in self.by_source.values():
            total = sum(counts.values())
            for word, count in counts.items():
                found[word] += count / total  # type: ignore[assignment]
        return found


def public_vocabulary(corpus: Path, size: int, always: Callable[[], list[str]] = everyday_words) -> Vocabulary:
    """The vocabulary of a public corpus.

    Args:
        corpus: JSON lines of `text` and, where there are several, `source`; may be gzipped.
        size: rows of the embedding, special tokens and punctuation included.
        always: words that are in whatever the corpus says.

    Raises:
        ConfigError: the corpus cannot be read, or the words do not fit.
    """
    counted = _count(corpus)
    fixed, own = (*SPECIAL_TOKENS, *PUNCTUATION), dict.fromkeys(always())
    room = size - len(fixed) - len(own)
    if room < 0:
        raise ConfigError(expected("--model.vocabulary-size", f"{len(fixed) + len(own)} or more", size))
    shares = counted.shares()
    ranked = sorted(shares, key=lambda word: (-shares[word], word))
    of_corpus = [w for w in ranked if w not in own and w not in fixed and not counted.is_name(w) and w[0].isalpha()]
    chosen = sorted([*own, *of_corpus[:room]], key=lambda word: (-shares[word], word))
    return Vocabulary((*fixed, *chosen))


def _count(corpus: Path) -> _Counted:
    counted = _Counted(defaultdict(Counter), defaultdict(Counter), defaultdict(Counter))
    for row in _rows(corpus):
        text, source = str(row.get("text", "")), str(row.get("source", ""))
        counted.by_source[source].update(tokenize(text))
        begins = True
        for word in _WRITTEN.findall(text):
            if word in ".!?":
                begins = True
                continue
            if not begins:
                spelled = counted.capitals if word[0].isupper() else counted.small
                spelled[source][word.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")] += 1
            begins = False
    return counted


def _rows(corpus: Path) -> Iterator[dict[str, Any]]:
    try:
        with opened(corpus) as lines:
            for number, line in enumerate(iter(lambda: lines.readline(LINE_BYTES), b""), start=1):
                row = json_value(line, f"{corpus}:{number}", "a JSON object", ConfigError)
                if not isinstance(row, dict):
                    raise ConfigError(expected(f"{corpus}:{number}", "a JSON object", f"a {type(row).__name__}"))
                yield row
    except OSError as error:
        raise ConfigError(unreadable(corpus, error, "a public corpus")) from error


def model_of(shape: str) -> ModelConfig:
    """The model of one of `PUBLIC_SHAPES`."""
    cell, settings, preset = PUBLIC_SHAPES[shape]
    return ModelConfig(cell=cell, cell_settings=CELLS.kind(cell).settings(**settings), preset=preset)  # type: ignore[arg-type]


def _refuse_other_vocabulary(folder: Path, shape: str, vocabulary: Vocabulary) -> None:
    """All weights of a folder share its vocab.txt."""
    others = sorted(f"{name}.npz" for name in PUBLIC_SHAPES if name != shape and (folder / f"{name}.npz").exists())
    if others and read_vocabulary(folder / "vocab.txt") != vocabulary:
        wanted = f"a folder whose {', '.join(others)} have the vocabulary of this corpus"
        raise ConfigError(expected("--output-dir", wanted, f"another in {folder / 'vocab.txt'}"))


def train_public_start(
    corpus: Path, settings: PublicTraining, folder: Path = FOLDER, say: Callable[[str], None] = print
) -> dict[str, Any]:
    """Train, and replace the files of one public start.

    Args:
        corpus: JSON lines of `user_id`, `text`, `source`.
        settings: of which model, and how.
        folder: where SHAPE.npz, SHAPE.json and vocab.txt go.
        say: told how it goes.

    Returns:
        What stands in SHAPE.json.

    Raises:
        InputError: the corpus cannot be used.
        MachineError: this process has used TensorFlow before, and its threads are set.
    """
    from client_model.learning.local_training import limit_threads

    model = model_of(settings.shape)
    vocabulary = public_vocabulary(corpus, wanted_vocabulary_size(model))
    _refuse_other_vocabulary(folder, settings.shape, vocabulary)
    limit_threads(1)  # the same bits on any number of cores
    shape = model_shape(model, len(vocabulary))
    weights, last_loss = _trained(corpus, settings, shape, vocabulary, say)
    named = {name: weight.astype(np.float16) for name, weight in zip(shape.weight_shapes(), weights, strict=True)}
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / f"{settings.shape}.npz", lambda file: np.savez_compressed(file, **named))
    write_text_atomically(folder / "vocab.txt", vocabulary.to_text())
    about = {
        "corpus_sha256": _digest(corpus),
        "vocabulary_sha256": hashlib.sha256(vocabulary.to_text().encode()).hexdigest(),
        "settings": {name: value for name, value in asdict(settings).items() if name != "shape"},
        "shape": {"cell": model.cell, **asdict(model.cell_settings), **shape.sizes},
        "last_loss": last_loss,
    }
    write_text_atomically(folder / f"{settings.shape}.json", json.dumps(about, indent=2, default=str) + "\n")
    return about


def _trained(
    corpus: Path, settings: PublicTraining, shape: ModelShape, vocabulary: Vocabulary, say: Callable[[str], None]
) -> tuple[Weights, float]:
    """(weights, the last loss of a token in nats)."""
    from client_model.learning.central_training import train_centrally

    population, passes = _population(corpus, settings)
    last: list[float] = [0.0, 0.0]  # share done when it was said, loss

    def progress(done: float, loss: float) -> None:
        last[1] = loss
        if done >= last[0] + 0.05 or done == 1.0:
            last[0] = done
            say(f"{done:4.0%}  loss {loss:.3f}")

    weights = train_centrally(
        population,
        vocabulary.lookup_table(population.lexicon),
        shape,
        initial_weights(shape, settings.seed),
        epochs=settings.epochs,
        learning_rate=settings.learning_rate,
        max_gradient_norm=settings.max_gradient_norm,
        seed=settings.seed,
        passes=passes,
        progress=progress,
    )
    return weights, last[1]


def _population(corpus: Path, settings: PublicTraining) -> tuple[Population, list[float] | None]:
    """(the text, passes over that of each phone); with passes of its own a source is a phone."""
    by_source = settings.source_passes
    config = DataConfig(path=corpus, user_column="source") if by_source else DataConfig(path=corpus)
    population = open_population(prepare_population(config, settings.seed, None))
    if not by_source:
        return population, None
    named = {user_digest(source): times for source, times in by_source.items()}
    digests = population.digests().tolist()
    if unknown := [source for source in by_source if user_digest(source) not in digests]:
        raise ConfigError(expected("--training.source-passes", f"sources of {corpus}", ", ".join(unknown)))
    return population, [named.get(digest, 1.0) for digest in digests]


def _digest(corpus: Path) -> str:
    """SHA-256 of the text itself, packed or not."""
    digest = hashlib.sha256()
    with opened(corpus) as text:
        while block := text.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
