"""Test vectors for ports: what an app that carries this keyboard must compute, from text to suggestions.

`test_vectors.json` holds sentences with their tokens and ids, and for each exported file the three words that it
suggests next, or that complete the letters typed so far. The sentences are the project's own, chosen to go
through every rule of the tokeniser; nobody's text is in the file.
"""

import json

import numpy as np
from numpy.typing import NDArray

from client_model.metrics.keystrokes import SUGGESTIONS
from client_model.text.vocabulary import BOS, FIRST_WORD, OOV, Vocabulary, tokenize
from client_model.tflite.interpreter import FileSteps, open_interpreter

# (text, letters of the next word)
_SENTENCES = (
    ("", ""),
    ("", "th"),
    ("See you", ""),
    ("see you at the", ""),
    ("I'll be there in", ""),
    ("Don\N{RIGHT SINGLE QUOTATION MARK}t worry, it's", ""),
    ("Where are you?", ""),
    ("ok...thanks!", ""),
    ("call me at 10:30", ""),
    ("the qwzxjk is", ""),
    ("see you \N{SMILING FACE WITH SMILING EYES}", ""),
    ("well done \N{THUMBS UP SIGN}\N{EMOJI MODIFIER FITZPATRICK TYPE-4}", ""),
    ("CAF\N{LATIN CAPITAL LETTER E WITH ACUTE} at noon", ""),
    ("i will see you", "to"),
    ("what do you", "w"),
    ("looking forward to", "se"),
)


def ids_of(text: str, vocabulary: Vocabulary) -> list[int]:
    """<bos> and the ids of a text's tokens."""
    ids = {token: i for i, token in enumerate(vocabulary.tokens)}
    return [BOS, *(ids.get(token, OOV) for token in tokenize(text))]


def completions(logits: NDArray[np.float32], typed: str, vocabulary: Vocabulary) -> list[int]:
    """Ids of the three likeliest words that begin with the letters typed; logits [V]. Of equals the lower id."""
    fitting = [i for i in range(FIRST_WORD, len(vocabulary)) if vocabulary.tokens[i].startswith(typed)]
    return sorted(fitting, key=lambda i: (-logits[i], i))[:SUGGESTIONS]


def reference_vectors(files: dict[str, bytes], vocabulary: Vocabulary) -> str:
    """The content of test_vectors.json.

    Args:
        files: model files by name.
        vocabulary: of the model.
    """
    steps = {name: FileSteps(open_interpreter(file)) for name, file in files.items()}
    vectors: list[str] = []
    for text, typed in _SENTENCES:
        ids = ids_of(text, vocabulary)
        expected = {}
        for name, step in steps.items():
            logits, shown = step.read(np.array(ids, np.int32))
            best = completions(logits[-1], typed, vocabulary) if typed else shown[-1].tolist()
            expected[name] = {"ids": best, "words": [vocabulary.tokens[i] for i in best]}
        vector = {"text": text, "typed": typed, "tokens": tokenize(text), "ids": ids, "expected": expected}
        vectors.append(json.dumps(vector, ensure_ascii=False))
    about = (
        "ids start with <bos>. Feed them to `step` (or `infer`) one by one, from a zero state; expected are its three "
        "suggestions after the last one or, where letters were typed, the three words with the highest logits that "
        "begin with them."
    )
    return f'{{"about": {json.dumps(about)},\n"vectors": [\n' + ",\n".join(vectors) + "\n]}\n"
