"""Which artefact or command speaks to which provision, and what it leaves open. No legal advice, and no verdict.

GDPR: Regulation (EU) 2016/679. CCPA: California Civil Code, division 3, part 4, title 1.81.5, as amended by the
California Privacy Rights Act of 2020. What each is about is told in our own words, and shorter than the law.
"""

from typing import NamedTuple

from simulation.studies.assessment.gathering import AUDIT, FORGOTTEN, PARTICIPATION, SIGNATURES, TRAIL, Gathered
from simulation.studies.assessment.parts import Answer, Provision

GDPR, CCPA = "GDPR", "CCPA"
_DELETIONS, _LEDGER, _ENVELOPE = "deletions.jsonl", "privacy_ledger.jsonl", "storage_key.json"
_CHECK, _SHRED, _EXPLAIN = "scripts/check_privacy.py", "scripts/shred.py", "scripts/explain_phone.py"
_PAGE, _RECORD, _RISKS = "assessment.md", "assessment.md (record of processing)", "assessment.md (residual risks)"
_PURPOSE, _CONSENTS, _LIMITS = "config.toml (data.purpose)", "config.toml ([consent])", "config.toml (data.keep_*)"
_REDACTION, _SECAGG = "config.toml (data.redact)", "config.toml (aggregation.protocol)"
_POLICY, _NOISE = "the policy of what is kept for how long", "privacy.md"
_FILES = (PARTICIPATION, FORGOTTEN, SIGNATURES, TRAIL, _DELETIONS, _LEDGER, _ENVELOPE, "privacy.json", "checkpoints/")


class _Row(NamedTuple):
    law: str
    number: str
    about: str
    where: tuple[str, ...]  # files, settings and commands that speak to it; of files and settings those that are there
    left: str


_TABLE = (
    _Row(
        GDPR,
        "5(1)(a)",
        "use of data is lawful, fair, and open to the people concerned",
        (_CONSENTS, PARTICIPATION),
        "the legal basis; whether it is fair to those whom the model serves worse",
    ),
    _Row(
        GDPR,
        "5(1)(b)",
        "data is used for the purposes for which it was collected",
        (_PURPOSE,),
        "what people were told when the text was collected",
    ),
    _Row(
        GDPR,
        "5(1)(c)",
        "no more data than the purpose needs",
        (_LIMITS, PARTICIPATION, "scripts/price_minimisation.py"),
        "whether less would have done",
    ),
    _Row(GDPR, "5(1)(d)", "data is right, and put right if it is not", (), "a message is what somebody wrote"),
    _Row(
        GDPR,
        "5(1)(e)",
        "data that names people is kept no longer than needed",
        (_POLICY, _DELETIONS, "scripts/retain.py"),
        "how long is needed",
    ),
    _Row(
        GDPR,
        "5(1)(f)",
        "data is safe from others, from loss and from damage",
        ("privacy.json", _ENVELOPE, AUDIT),
        "the machine, its people and its backups",
    ),
    _Row(
        GDPR,
        "5(2)",
        "whoever is responsible can show all of that",
        (_LEDGER, TRAIL, SIGNATURES, _CHECK),
        "everything outside of the run",
    ),
    _Row(
        GDPR,
        "13",
        "what people are told when data is collected from them",
        (_PAGE, _EXPLAIN),
        "the notice, the controller, the legal basis, their rights",
    ),
    _Row(
        GDPR,
        "14",
        "what people are told when data comes from elsewhere",
        (_PAGE,),
        "the same, and where the text came from",
    ),
    _Row(
        GDPR,
        "15",
        "people learn whether and how data of theirs is used, and get a copy",
        (_EXPLAIN,),
        "who asks; the copy of the messages, which the phone has",
    ),
    _Row(
        GDPR,
        "16",
        "people have wrong data put right",
        (),
        "messages are on the phone; what a model has learned from them cannot be corrected, only forgotten",
    ),
    _Row(
        GDPR,
        "17",
        "people have their data erased",
        (FORGOTTEN, _DELETIONS, _SHRED),
        "models that were released before; who asks",
    ),
    _Row(
        GDPR,
        "25(1)",
        "protection is built in, when the means are chosen and when data is used",
        (_NOISE, _SECAGG, _REDACTION),
        "whether it is what the state of the art and the risks ask for",
    ),
    _Row(
        GDPR,
        "25(2)",
        "by default no more data is used, kept or shown than each purpose needs",
        ("config.toml", "assessment.json (storage)"),
        "the defaults of the real app",
    ),
    _Row(
        GDPR,
        "30",
        "a record of what is done with which data, for whom, for how long",
        (_RECORD,),
        "the controller, processors, other countries",
    ),
    _Row(
        GDPR,
        "32(1)(a)",
        "pseudonyms and encryption, where they fit",
        (_LEDGER, _ENVELOPE, _SECAGG),
        "the file of messages itself; memory; the network of real phones",
    ),
    _Row(
        GDPR,
        "32(1)(b)-(c)",
        "systems stay confidential, whole and available, and come back after an incident",
        ("checkpoints/",),
        "the machine and its operation",
    ),
    _Row(
        GDPR,
        "32(1)(d)",
        "safety is tested and measured again and again",
        (AUDIT, "scripts/audit.py", _CHECK),
        "how often, and who looks at what comes of it",
    ),
    _Row(
        GDPR,
        "35(7)(a)",
        "the assessment describes what is done, and what for",
        (_RECORD, "assessment.md (the way of the data)"),
        "legitimate interests, if those are the basis",
    ),
    _Row(GDPR, "35(7)(b)", "it says whether that is needed, and in proportion", (PARTICIPATION,), "the judgement"),
    _Row(
        GDPR,
        "35(7)(c)",
        "it says what risks there are for people",
        (_RISKS,),
        "risks that no figure of a run shows",
    ),
    _Row(
        GDPR, "35(7)(d)", "it says what is done about them", ("assessment.md (safeguards)",), "what else will be done"
    ),
    _Row(GDPR, "35(2), 35(9)", "the officer's advice and people's views are sought", (), "both"),
    _Row(
        CCPA,
        "1798.100",
        "a business says what it collects, what for and for how long, and takes no more than that needs",
        (_RECORD, _POLICY),
        "the notice at collection; whether it is a business in this sense; contracts",
    ),
    _Row(
        CCPA,
        "1798.105",
        "people have what was collected from them deleted, and those it was passed to are told",
        (FORGOTTEN, _DELETIONS, _SHRED),
        "models that were passed on; who asks; what may be kept",
    ),
    _Row(CCPA, "1798.106", "people have wrong data corrected", (), "as under GDPR 16"),
    _Row(
        CCPA,
        "1798.110",
        "people learn which data is collected, from where, what for, and get it",
        (_EXPLAIN, _RECORD),
        "who asks; the copy",
    ),
    _Row(
        CCPA,
        "1798.115",
        "people learn what of their data is sold, shared or passed on, and to whom",
        ("assessment.md (recipients)",),
        "whether anything is sold or shared: a run does not know",
    ),
    _Row(CCPA, "1798.120", "people say no to the sale or sharing of their data", (), "all of it"),
    _Row(
        CCPA,
        "1798.121",
        "people limit what sensitive data, such as the contents of messages, is used for",
        (_CONSENTS, _REDACTION),
        "the link or setting by which they do; whether an exception holds",
    ),
    _Row(
        CCPA,
        "1798.130",
        "how requests are taken and answered, within which time, and what a privacy policy says",
        (),
        f"all of it; {_EXPLAIN} has words to answer with",
    ),
    _Row(
        CCPA,
        "1798.150",
        "people may sue after a breach of data neither encrypted nor redacted, for want of reasonable security",
        (_ENVELOPE, _REDACTION),
        "what is reasonable; all that stays plain, see storage",
    ),
    _Row(
        CCPA,
        "1798.185",
        "regulations, among them on risk assessments and audits of security",
        (_RISKS, AUDIT),
        "whether they apply, and their own form",
    ),
)


def provisions(run: Gathered) -> tuple[Provision, ...]:
    """The table: every provision, and what there is of this run that speaks to it.

    Args:
        run: as it was found.
    """
    absent = _absent(run)
    found = []
    for row in _TABLE:
        where = tuple(one for one in row.where if one not in absent)
        answer = Answer.NOT if not where else Answer.BY_A_COMMAND if all(map(_is_command, where)) else Answer.IN_PART
        found.append(Provision(**{**row._asdict(), "where": where}, answer=answer))
    return tuple(found)


def _is_command(where: str) -> bool:
    return where.startswith("scripts/")


def _absent(run: Gathered) -> set[str]:
    """What could speak to a provision, and is not there."""
    data = run.config.data
    there = {
        _CONSENTS: run.config.consent.is_simulated,
        _LIMITS: any(one is not None for one in (data.keep_messages, data.keep_tokens, data.keep_days)),
        _REDACTION: data.redact != "off",
        _SECAGG: run.config.aggregation.protocol == "secagg",
        _NOISE: run.private and (run.folder / _NOISE).exists(),
        _POLICY: run.policy is not None,
        AUDIT: run.audit is not None,
        **{name: (run.folder / name).exists() for name in _FILES},
    }
    return {name for name, is_there in there.items() if not is_there}
