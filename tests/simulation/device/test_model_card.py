import json
from dataclasses import fields, replace
from importlib.metadata import version

from client_model.learning.cells.cifg import Cifg
from client_model.learning.language_model import ModelShape
from client_model.metrics.table import metric_table
from server_strategy.privacy.statement_audit import ReleaseAudit, Within, audit_json
from server_strategy.privacy.statement_noise import REPEATABLE
from simulation.config import RunConfig
from simulation.device.model_card import associated_files, card_markdown, model_card
from simulation.run.records import Summary

SHAPE = ModelShape(Cifg(), 60, 8, 10, 20)
SUMMARY = Summary.from_json(
    {
        **dict.fromkeys((f.name for f in fields(Summary) if f.name not in ("held_out", "baselines")), 0),
        "stopped_early": None,
        "aggregation": None,
        "consent": None,
        "handed_in": None,
        "kernel": "native",
        "kernel_bits": "1",
        "epsilon_is_of": "this run",
        "noise_source": "secret",
        "weights_sha256": "ab" * 32,
        "rounds_completed": 12,
        "devices_trained": 3456,
        "tokens_trained": 78901,
        "top1_recall": 0.0748,
        "top3_recall": 0.1393,
        "perplexity": 349.4,
        "oov_rate": None,
        "baseline_unigram_top1": 0.0397,
        "baseline_bigram_top1": 0.0936,
        "baseline_unigram_top3": 0.1007,
        "baseline_bigram_top3": 0.1752,
        "impression_recall": 0.0806,
        "keystroke_savings": 0.3684,
        "baseline_unigram_keystroke_savings": 0.3736,
        "baseline_training_phones": 40,
        "wall_seconds": 5.0,
        "participation": {
            "phones": 4500,
            "updates": 3456,
            "never_used_share": 0.4,
            "gini": 0.5,
            "most_updates_of_a_phone": 3,
        },
    },
    "summary.json",
)
METRICS = metric_table()
PRIVACY = {
    "statement": "(6.39, 1e-07)-differential privacy",
    "epsilon_is_of": "this run",
    "assumed_population": 1315000,
    "population_rule": "the phones of this run",
    "delta_rule": "some",
    "unit": "u",
    "adjacency": "a",
    "trust_model": "t",
    "released": "r",
    "mechanism": "blt",
    "mechanism_parameters": {},
    "spent": {"delta": 1e-07},
    "epsilon_exact_gaussian": 6.0,
    "amplification_by_sampling": "none",
    "conversion": "c",
    "accountant": "d",
    "outside_the_budget": ["the vocabulary"],
    "caveats": ["the seed"],
    "data_covered": "40 phones",
}


def card(**privacy):
    return model_card(RunConfig(), SHAPE, SUMMARY, {**PRIVACY, **privacy}, METRICS)


def test_a_card_says_where_the_noise_came_from():
    spent = {"delta": 1e-07, "epsilon": 6.3}
    for source, said in (("seeded", "seeded"), ("secret", "secret"), (None, "seeded")):  # None: of an earlier version
        found = card(spent=spent, noise_source=source)
        assert found["privacy"]["noise_source"] == said
        assert (f"- Noise: {REPEATABLE}." in card_markdown(found, METRICS)) == (said == "seeded")


def test_a_card_has_the_total_with_the_start_beside_the_cost_of_the_run_alone():
    total = (
        "With the run it starts from: (8.1, 1e-07)-differential privacy for each phone (0.75-zCDP), by the same data"
    )
    warm, alone = card(statement_with_earlier_runs=total), card(statement_with_earlier_runs=None)
    assert warm["privacy"]["statement_with_earlier_runs"] == total and "statement_with_earlier_runs" not in str(alone)
    page = card_markdown(warm, METRICS)
    assert page.index(PRIVACY["statement"]) < page.index(f"{total}.") < page.index("Not covered")
    assert card_markdown(alone, METRICS) == page.replace(f"{total}.\n\n", "")


def test_the_page_has_the_metrics_and_what_they_are_and_the_promise():
    page = card_markdown(card(), METRICS)
    for text in (
        "7.48 %",
        "13.93 %",
        "| perplexity | 349 |",
        "8.06 %",
        "36.84 %",
        "40 phones",
        "3,456 updates",
        "the vocabulary",
        "the seed",
    ):
        assert text in page
    assert page.index("the guarantee does not cover it") < page.index("| keystrokes saved | 36.84 % |")
    assert "| out of vocabulary | - |" in page  # a value that does not exist
    assert "do not have it" not in page and card()["privacy"]["not_guaranteed"] is None
    assert "Assumed population: 1,315,000 phones, the phones of this run" in page and "Rule for delta: some" in page
    assert f"Typefleet {version('typefleet')}" in page


def test_nothing_that_was_counted_on_training_phones_is_in_it():
    inside = "".join(one.content for one in associated_files(card(), "a\n", METRICS)[1])
    for said in ("baseline", "unigram", "bigram", "9.36", "0.0936", "37.36", "78901", "78,901"):
        assert said not in inside, said


def test_a_modelled_deployments_promise_is_not_the_files():
    page = card_markdown(card(not_guaranteed="The phones of this simulation lack it."), METRICS)
    assert page.index("**The phones of this simulation lack it.**") < page.index("(6.39, 1e-07)-differential privacy")


def test_a_statement_of_an_earlier_version_is_read():
    earlier = {**PRIVACY, "epsilon_is_of": "a modelled deployment with 20,000 reports a round"}
    for name in ("assumed_population", "population_rule", "delta_rule"):
        del earlier[name]
    page = card_markdown(model_card(RunConfig(), SHAPE, SUMMARY, earlier, METRICS), METRICS)
    assert "20,000 reports a round; the phones of this simulation do not have it" in page
    assert "Assumed population" not in page


def test_no_privacy_is_said_once():
    nothing = "No privacy mechanism was used: nothing bounds what the model reveals about a phone"
    page = card_markdown(card(statement=nothing, not_guaranteed=f"{nothing}.", delta_rule=None), METRICS)
    assert page.count(nothing) == 1 and "Assumed population" not in page


def test_nothing_that_differs_between_equal_runs_is_in_it():
    first, second = card(), model_card(RunConfig(), SHAPE, replace(SUMMARY, wall_seconds=9.0), PRIVACY, METRICS)
    assert associated_files(first, "a\n", METRICS) == associated_files(second, "a\n", METRICS)
    facts, files = associated_files(first, "a\n", METRICS)
    assert facts.version == "ab" * 8
    assert [one.name for one in files] == ["vocab.txt", "model_card.md", "model_card.json"]
    assert json.loads(files[2].content) == json.loads(json.dumps(first))


def test_an_audit_that_allowed_the_release_is_on_the_card_and_without_one_there_is_no_word_of_it():
    release = ReleaseAudit("ab" * 32, "cd" * 32, True, (Within("canaries: all releases", 4.5, True),))
    told = {**PRIVACY, **audit_json(release)}
    card = model_card(RunConfig(), SHAPE, SUMMARY, json.loads(json.dumps(told)), METRICS)
    page = card_markdown(card, METRICS)
    assert "| canaries: all releases | 4.5 | the audit's own bound |" in page and release.rule_sha256 in page
    assert card["audit"]["audit_sha256"] == release.audit_sha256 and "short attacks" in page
    bare = model_card(RunConfig(), SHAPE, SUMMARY, PRIVACY, METRICS)
    assert "audit" not in bare and "Audit" not in card_markdown(bare, METRICS)
