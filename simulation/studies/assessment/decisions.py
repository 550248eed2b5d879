"""What a person must still decide: no run can, so each stays open, with whose it is and what of the run bears on it."""

from collections.abc import Iterator, Sequence

from server_strategy.privacy.rounded_up import Bound
from simulation.studies.assessment.gathering import STATEMENT, Gathered
from simulation.studies.assessment.parts import Decision, Risk
from simulation.studies.assessment.processing import text_figures
from simulation.studies.assessment.risks import total_epsilon
from simulation.studies.assessment.scale import band
from simulation.studies.assessment.words import shown

CONTROLLER, OFFICER, ENGINEER = "the controller", "the data protection officer", "whoever runs the training"
GRAVE = ("high", "very high")


def open_decisions(run: Gathered, risks: Sequence[Risk]) -> tuple[Decision, ...]:
    """All of them, in the order in which they are usually taken.

    Args:
        run: as it was found.
        risks: that are left.
    """
    return (*_before(run), *_about_people(run), *_about_the_run(run), *_after(run, risks))


def _before(run: Gathered) -> Iterator[Decision]:
    yield Decision(
        "controller",
        "Who decides about purposes and means, who can be reached there, and who is its data protection officer?",
        CONTROLLER,
        "a run knows nobody's name",
        ("GDPR 13", "GDPR 14", "GDPR 30"),
    )
    yield Decision(
        "legal-basis",
        "On which legal basis are people's messages used, and, if it is a legitimate interest, which?",
        CONTROLLER,
        "consent is simulated by purpose" if run.config.consent.is_simulated else "nobody's consent is simulated",
        ("GDPR 5", "GDPR 13", "GDPR 14", "GDPR 35"),
    )
    yield Decision(
        "which-law",
        "Which laws apply: where do the people live, and is the controller a business in the sense of the CCPA?",
        CONTROLLER,
        f"time zones of the simulated phones: UTC {', '.join(f'{one:+g}' for one in run.config.fleet.utc_offsets_h)}",
        ("CCPA 1798.100", "CCPA 1798.185"),
    )
    yield Decision(
        "special-categories",
        "May messages hold health, beliefs, or the words of children, and what follows from that?",
        OFFICER,
        "no scanner finds what only its meaning makes personal",
        ("GDPR 35", "CCPA 1798.121"),
    )
    yield Decision(
        "needed",
        "Is this much text needed for the purpose, and would less have done?",
        CONTROLLER,
        _needed(run),
        ("GDPR 5", "GDPR 25", "GDPR 35"),
    )


def _needed(run: Gathered) -> str:
    written, kept, used = (one.value for one in text_figures(run))
    if not isinstance(written, int):
        return "how much was used is not on record; scripts/price_minimisation.py says what less would cost"
    return (
        f"of {written:,} tokens that phones wrote they keep {kept:,}, and those that took part have {used:,}; "
        "scripts/price_minimisation.py says what less would cost"
    )


def _about_people(run: Gathered) -> Iterator[Decision]:
    yield Decision(
        "notice",
        "What are people told, when, and in which words?",
        CONTROLLER,
        "scripts/explain_phone.py has words for one phone, after it took part",
        ("GDPR 13", "GDPR 14", "CCPA 1798.100", "CCPA 1798.130"),
    )
    yield Decision(
        "views",
        "Were the people concerned, or those who speak for them, asked for their views; if not, why not?",
        CONTROLLER,
        "a run asks nobody",
        ("GDPR 35",),
    )
    yield Decision(
        "requests",
        "Who answers a request for access, correction or deletion, by when, and how is it known whose phone it is?",
        CONTROLLER,
        f"on record as to be forgotten: {shown(run.forgotten.phones, 'phones')}"
        if run.forgotten is not None
        else "no phone was taken out of this run",
        ("GDPR 15", "GDPR 16", "GDPR 17", "CCPA 1798.105", "CCPA 1798.106", "CCPA 1798.110", "CCPA 1798.130"),
    )
    yield Decision(
        "recipients",
        "Who else gets any of it: processors, other countries, buyers; and under which contracts?",
        CONTROLLER,
        "recipients by the settings stand in the record of processing; contracts are not a run's to know",
        ("GDPR 13", "GDPR 30", "CCPA 1798.115", "CCPA 1798.120"),
    )


def _about_the_run(run: Gathered) -> Iterator[Decision]:
    epsilon, whose = total_epsilon(run), run.at(STATEMENT, "epsilon_is_of")
    yield Decision(
        "epsilon",
        "Is this bound on what the model tells of a person good enough?",
        OFFICER,
        "no epsilon bounds it" if epsilon is None else f"epsilon {Bound(epsilon):.3g} at most, of {whose}",
        ("GDPR 25", "GDPR 32", "GDPR 35"),
    )
    yield Decision(
        "real-deployment",
        "Which of these settings will real phones have, and who checks that they do?",
        ENGINEER,
        "this run is a simulation, and no phone of anybody took part",
        ("GDPR 25", "GDPR 32", "GDPR 35"),
    )
    yield Decision(
        "retention",
        "How long is each kind of data kept?"
        if run.policy is None
        else "Is what the policy says right, and who carries it out when?",
        CONTROLLER,
        "no policy was handed in" if run.policy is None else f"the policy has days for {', '.join(run.policy)}",
        ("GDPR 5", "GDPR 13", "GDPR 30", "CCPA 1798.100"),
    )
    yield Decision(
        "organisation",
        "Who may enter this machine, who has the keys, and what happens after a breach?",
        CONTROLLER,
        "files are their owner's alone; who that is, and what else they do, is not in a run",
        ("GDPR 5", "GDPR 32", "CCPA 1798.150"),
    )


def _after(run: Gathered, risks: Sequence[Risk]) -> Iterator[Decision]:
    grave = [one for one in risks if band(one.score) in GRAVE]
    known = f"residual risks that are high or very high: {len(grave)} of {len(risks)}"
    yield Decision(
        "residual-risks", "Are the residual risks accepted, and by whom?", CONTROLLER, known, ("GDPR 35", "GDPR 5")
    )
    if grave:
        yield Decision(
            "consultation",
            "Must the supervisory authority be consulted before any processing, since high risks are left?",
            OFFICER,
            known,
            ("GDPR 35",),
        )
    yield Decision(
        "officer-advice",
        "What does the data protection officer advise, and what was made of it?",
        OFFICER,
        "a run asks nobody",
        ("GDPR 35",),
    )
    yield Decision(
        "review", "When is this looked at again, and what would make it sooner?", CONTROLLER, "a new run", ("GDPR 35",)
    )
