"""The scale of residual risks: levels in words, bands of their product, and what the kinds of text are worth in harm.

Four levels of likelihood and four of severity, as in the risk matrices that are in use for impact assessments
(ISO/IEC 29134:2017, section 6.4; CNIL, Privacy Impact Assessment, 2018). The score of a risk is the product of both
numbers. What is not known counts as the highest level.

Bands of epsilon are those of Ponomareva et al. 2023 (arXiv:2303.00654, section 5.2), by which up to 1 is a strong
guarantee, up to 10 a reasonable one, and beyond 10 a weak one; without a measurement beside it, each counts a level
higher here.
"""

from client_model.text.personal.kinds import WORDS, Kind
from simulation.studies.assessment.gathering import Gathered
from simulation.studies.assessment.parts import REAL_PHONES, Level

LIKELIHOOD = {
    1: ("remote", "several safeguards that were measured would have to fail together"),
    2: ("possible", "a safeguard is there and measured; it would have to fail, or be got around with effort"),
    3: ("likely", "a safeguard is there in part only, or was not measured"),
    4: ("to be expected", "nothing stands against it, or it is not known whether anything does"),
}
SEVERITY = {
    1: ("negligible", "nobody's data, or a nuisance that passes by itself"),
    2: ("limited", "trouble that people get over with some effort"),
    3: ("significant", "harm that is hard to get over: what was written in private is known to others"),
    4: ("maximum", "harm that may not be undone: identity theft, loss of money, danger to somebody"),
}
FORMULA = "score = likelihood x severity, each from 1 to 4; what is not known counts as 4"
BANDS = (("low", 1, 3), ("medium", 4, 6), ("high", 8, 9), ("very high", 12, 16))
STRONG_EPSILON, WEAK_EPSILON = 1.0, 10.0
_GRAVE = (Kind.IBAN, Kind.NATIONAL_ID, Kind.CARD, Kind.BIRTH_DATE)


def band(score: int) -> str:
    """The band that a score is in.

    Args:
        score: a product of two levels.

    Example:
        >>> [band(score) for score in (1, 4, 9, 16)]
        ['low', 'medium', 'high', 'very high']
    """
    return next(name for name, least, most in BANDS if least <= score <= most)


def severity_of_text(run: Gathered, about: str) -> Level:
    """How bad it is for people if somebody else knows what is in the messages.

    Args:
        run: as it was found.
        about: REAL_PHONES or THIS_MACHINE.
    """
    if run.config.data.is_synthetic:
        if about == REAL_PHONES:
            return Level(4, "the text of this run is made up, and says nothing of what real people write")
        return Level(1, "the text of this run is made up: it is nobody's")
    if run.text_audit is None:
        return Level(4, "what the messages hold is not known: no audit of the text was handed in (--data-audit)")
    found = {row["kind"]: row["messages"] for row in run.text_audit["personal"]}
    hold = [WORDS[kind] for kind in _GRAVE if (found.get(kind) or 0) > 0]
    unknown = [WORDS[kind] for kind in _GRAVE if found.get(kind) is None]
    told = [f"the messages hold {', '.join(hold)}"] if hold else []
    told += [f"{'they' if hold else 'the messages'} were not searched for {', '.join(unknown)}"] if unknown else []
    if told:
        return Level(4, "; ".join(told))
    return Level(3, "messages are private, and no number by which somebody is robbed or impersonated was found in them")
