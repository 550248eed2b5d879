"""Groups of phones write secrets of their own; that those of one group are remembered best is said, with its chance."""

import json
from dataclasses import replace

import numpy as np
import pytest

from client_model.config import DataConfig, ModelConfig, TrainingConfig
from client_model.learning.language_model import flatten, initial_weights, model_shape
from client_model.tflite.reference_model import ReferenceModel
from server_strategy.config import CohortConfig
from server_strategy.optimizers.config import ServerOptimizerConfig
from server_strategy.privacy.config import PrivacyConfig
from simulation.config import RunConfig, settled
from simulation.studies.audits.attack import Attack, Subject
from simulation.studies.audits.batched_model import BatchedModel
from simulation.studies.audits.canary_sentences import SECRET_WORDS
from simulation.studies.audits.exposure import secret_log_probabilities_at_once
from simulation.studies.audits.memorisation_groups import (
    RememberedOfGroup,
    as_attacks,
    memorisation_by_group,
    own_protection,
    place_secrets,
    remember_by_group,
    words_and_unknown,
)
from simulation.studies.audits.table import draw
from simulation.studies.audits.update_sums import CLIPPED, DEPLOYMENT, SIMULATION, SUM, Protection
from simulation.world.config import FleetConfig


def subject(phones, quick=True, **training):
    config = RunConfig(
        fleet=FleetConfig(size=phones),
        cohort=CohortConfig(goal=2),
        data=DataConfig(format="synthetic", vocabulary_phones=50),
        model=ModelConfig(vocabulary_size=300, embedding_size=16, units=24),
        training=TrainingConfig(max_sequences=20, **training),
        privacy=PrivacyConfig(mechanism="none"),
        server_optimizer=ServerOptimizerConfig("sgd", learning_rate=4.0, schedule="constant"),
    )
    return Subject(settled(config), quick=quick)


def remembered(group, bits, before=1.0, protection=SUM):
    return RememberedOfGroup(protection, "amount of text", group, tuple(bits), (before,) * len(bits), None)


@pytest.mark.parametrize(("quick", "secrets"), [(True, 10), (False, 18)])
def test_each_group_writes_as_many_secrets_and_no_phone_two(quick, secrets):
    some = subject(800, quick)
    placed = place_secrets(some)
    writers = np.array([phone for one in placed.canaries for phone in one.phones])
    assert len(set(writers.tolist())) == len(writers) == 4 * len(placed.canaries)
    assert set(writers.tolist()) <= set(some.prepared.training_phones.tolist())
    assert len({one.prefix for one in placed.canaries}) == len(placed.canaries)
    prepared = some.prepared
    words, lacking = words_and_unknown(prepared.population, prepared.vocabulary, writers)
    measured = (words, lacking / np.maximum(words, 1))
    for number, values in enumerate(measured):
        spans = []
        for group in range(4):
            of_group = (placed.grouping == number) & (placed.group == group)
            assert of_group.sum() == secrets
            own = values[np.repeat(of_group, 4)]
            spans.append((own.min(), own.max()))
        assert all(high <= low for (_, high), (low, _) in zip(spans, spans[1:], strict=False)), "quarters"


def test_words_are_counted_with_those_that_the_vocabulary_lacks():
    prepared = subject(90).prepared
    phones = prepared.training_phones[:5]
    words, lacking = words_and_unknown(prepared.population, prepared.vocabulary, phones)
    known = set(prepared.vocabulary.tokens)
    for phone, number, unknown in zip(phones.tolist(), words.tolist(), lacking.tolist(), strict=True):
        types, _ = prepared.population.types(phone)
        lexicon = (*prepared.population.lexicon, "outside of it")
        text = [lexicon[min(one, len(lexicon) - 1)] for one in types.tolist()]
        assert unknown == sum(word not in known for word in text) > 0
        assert number == sum(word not in (".", ",", "?", "!") for word in text)


@pytest.mark.parametrize(("gap", "shown"), [(5.0, True), (0.0, False)])
def test_a_gap_between_groups_is_shown_where_there_is_one(gap, shown):
    rng = np.random.default_rng(0)
    groups = [remembered(name, rng.normal(3 + gap * (name == "c"), 1, 12)) for name in "abc"]
    (one,) = as_attacks(groups)
    assert (one.low > 0) is shown and one.low <= one.value <= one.high and one.bound is None
    assert ("most: c (12 secrets)" in one.why) or not shown


def test_figures_are_one_for_each_protection_and_a_picture(tmp_path):
    groups = [remembered(name, [2.0 + i for i in range(10)], protection=p) for p in (SUM, CLIPPED) for name in "ab"]
    found = as_attacks([*groups, replace(groups[0], grouping="alone")])
    assert [one.name for one in found] == [f"memorisation-groups: amount of text, {p}" for p in (SUM, CLIPPED)]
    read = [Attack.from_json(json.loads(json.dumps(one.to_json())), "a file") for one in found]
    (path,) = draw(tmp_path, read)
    assert path.name == "memorisation_groups.png" and path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_what_phones_of_each_group_wrote_is_in_the_model():
    some = subject(400, learning_rate=4.0, epochs=15)
    placed = place_secrets(some)
    few = np.flatnonzero((placed.grouping == 0) & (placed.group % 3 == 0))[::5]  # two secrets of two groups
    assert placed.group[few].tolist() == [0, 0, 3, 3]
    canaries = tuple(replace(placed.canaries[i], times=40) for i in few)
    found = remember_by_group(
        some, replace(placed, canaries=canaries, grouping=placed.grouping[few], group=placed.group[few])
    )
    assert [(one.protection, one.group) for one in found] == [(CLIPPED, "least text"), (CLIPPED, "most text")]
    assert np.mean([one.exposures for one in found]) > np.mean([one.before for one in found]) + 1.5
    for one in found:
        assert one.gained.mean == pytest.approx(np.mean(np.subtract(one.exposures, one.before)))


def test_of_too_few_phones_nothing_is_measured():
    (one,) = memorisation_by_group(subject(60))
    assert one.value is None and "too few phones train, 54: 40 in each of two groups" in one.why


NONE, CLIP, FULL = Protection(SUM), Protection(CLIPPED, 1.0), Protection(DEPLOYMENT, 1.0, noise_stddev=2.0)
SCALED = Protection(SIMULATION, 1.0, noise_per_phone=0.1)


@pytest.mark.parametrize(
    ("protections", "own"),
    [((NONE, CLIP), CLIP), ((NONE, CLIP, FULL), FULL), ((NONE, CLIP, SCALED, FULL), SCALED)],
)
def test_a_quick_audit_plays_what_the_run_itself_has(protections, own):
    assert own_protection(protections) is own


@pytest.mark.parametrize("cell", ["cifg", "gru", "transformer"])
def test_secrets_are_as_likely_as_word_after_word(cell):
    shape = model_shape(ModelConfig(vocabulary_size=40, embedding_size=6, units=8, sequence_length=12, cell=cell), 40)
    weights = initial_weights(shape, 3)
    flat, digits, prefix = flatten(weights) * 3, (9, 12, 30), (8, 20)
    likely = secret_log_probabilities_at_once(BatchedModel(shape, flat), prefix, digits, SECRET_WORDS)
    reference = ReferenceModel(shape, [weight * 3 for weight in weights])
    for number in (0, 1, 29, 80):
        secret = [digits[number // 3**place % 3] for place in (3, 2, 1, 0)]
        logits = reference.logits(np.array([1, *prefix, *secret])).astype(np.float64)
        known = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
        assert likely[number] == pytest.approx(sum(known[2 + i, word] for i, word in enumerate(secret)), rel=1e-5)
