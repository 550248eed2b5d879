"""As simulated days go by, phones train on what they still keep, and those that keep nothing are left alone."""

import json

import numpy as np
import pytest

from client_model.text.kept_text import DAY_S
from simulation.engine.phone_host import host_for
from simulation.flags import parse_simulate
from simulation.run.preparation import prepare
from typefleet.errors import InputError

DAYS = 8


@pytest.fixture(scope="module")
def flags(tmp_path_factory):
    """Phone n writes a message at noon of some days; the larger n, the longer it is and the more days they are."""
    folder = tmp_path_factory.mktemp("dated")
    rows = [
        {"user_id": f"u{n}", "text": "some words are here " * (n // 4 + 1), "at": f"2020-01-{1 + day:02}T12:00:00"}
        for n in range(60)
        for day in range(min(n // 5, DAYS))
        if n >= 5
    ]
    (folder / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return (
        *("--data.path", folder / "m.jsonl", "--data.cache-dir", folder / "cache", "--data.time-column", "at"),
        *("--data.keep-days", 2, "--fleet.start-date", "2020-01-03", "--fleet.never-eligible-share", 0),
        *("--cohort.goal", 5, "--cohort.pause-s", DAY_S, "--rounds", 3, "--privacy.mechanism", "none"),
        *("--model.embedding-size", 4, "--model.units", 4, "--model.sequence-length", 5),
    )


def prepared_with(*flags):
    return prepare(parse_simulate([str(flag) for flag in flags]).run)


def test_a_round_is_of_phones_with_text_and_trains_on_what_they_keep_that_day(flags):
    prepared = prepared_with(*flags)
    world, kept = prepared.open_world(), prepared.population
    may = np.zeros(kept.num_phones, bool)
    may[prepared.training_phones] = True
    host, days, seen = host_for(prepared.task.to_json()), [], 0
    for server_round in range(1, 12):
        plan = world.plan_round(server_round, may)
        if not len(plan.reporters):
            continue
        assert plan.text_as_of_s == plan.funnel.opened_s
        day = int(plan.text_as_of_s // DAY_S)
        today = kept.on_day(day)
        assert today.has_text()[plan.reporters].all()
        for phone, tokens in zip(plan.reporters.tolist(), plan.tokens.tolist(), strict=True):
            assert host.read(phone, server_round, plan.text_as_of_s).num_tokens == tokens
        days.append(day)
        seen += len(plan.reporters)
    assert len(set(days)) > 2 and max(days) <= DAYS and seen > 15
    assert not kept.on_day(DAYS + 2).has_text()[prepared.training_phones].any()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (("--fleet.start-date", "2026-01-05"), "--fleet.start-date: expected a day on which phones have messages"),
        (("--cohort.policy", "buffered"), "--data.keep-days: expected with rounds that follow one another"),
    ],
)
def test_what_cannot_slide_is_refused_before_anything_is_made(flags, changed, said):
    given = tuple(flag for flag in flags if flag not in ("--cohort.pause-s", DAY_S)) if "buffered" in changed else flags
    with pytest.raises(InputError) as error:
        prepared_with(*given, *changed)
    assert str(error.value).startswith(said)
