"""The assessment of a run: all its parts, their JSON, and the three files that they are written as."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from simulation.studies.assessment import scale
from simulation.studies.assessment.decisions import open_decisions
from simulation.studies.assessment.flows import Station, stations
from simulation.studies.assessment.gathering import PARTICIPATION, STATEMENT, SUMMARY, Gathered, gather
from simulation.studies.assessment.law import provisions
from simulation.studies.assessment.parts import Decision, Figure, Kept, Provision, Risk, Row, Safeguard
from simulation.studies.assessment.processing import categories, recipients, storage, subjects, unlisted
from simulation.studies.assessment.risks import residual_risks
from simulation.studies.assessment.safeguards import safeguards

SCHEMA = 1
NOTICE = (
    "This is no legal advice, and no statement that any law is kept. It gathers what a run recorded, in figures, for "
    "people who judge it; what they must decide is left open and marked."
)
SIMULATION = (
    "The run is a simulation: all phones are one machine's, and no phone of anybody took part. What is said of phones, "
    "of the server and of the model is what these settings would mean for real phones; what is said of storage is "
    "about the files on this machine, and about whoever's text they hold."
)
BASIS_OPEN = "no run knows its legal basis"
TRANSFERS_OPEN = "no run knows where a server stands and who runs it"


@dataclass(frozen=True, kw_only=True)
class Assessment:
    """What is said of a run.

    Attributes:
        run: what it was, as figures.
        purpose: one word, of the settings.
        subjects, categories, recipients, kept: the record of processing.
        unlisted: files in the folder that no table of artefacts names.
        way: of the data, from the phone to the file.
        safeguards, risks, decisions, provisions: the assessment.
    """

    written_on: str
    version: str
    run: tuple[Figure, ...]
    purpose: str
    subjects: tuple[Figure, ...]
    categories: tuple[Row, ...]
    recipients: tuple[Row, ...]
    kept: tuple[Kept, ...]
    unlisted: int
    way: tuple[Station, ...]
    safeguards: tuple[Safeguard, ...]
    risks: tuple[Risk, ...]
    decisions: tuple[Decision, ...]
    provisions: tuple[Provision, ...]

    @property
    def absent(self) -> tuple[Safeguard, ...]:
        """Safeguards that are off, or not known to be on."""
        return tuple(one for one in self.safeguards if one.state != "on")

    def absent_of(self, risk: Risk) -> str:
        """Names of the safeguards that would lower a risk and are not there."""
        names = [one.name for one in self.safeguards if one.id in risk.absent]
        return "; ".join(names) or "none of those that are listed"

    def by_band(self) -> dict[str, int]:
        """How many risks are in each band, the lowest first."""
        bands = [scale.band(one.score) for one in self.risks]
        return {name: bands.count(name) for name, _, _ in scale.BANDS}

    def to_json(self) -> dict[str, Any]:
        """As assessment.json has it; docs/how-to/assess.md has its keys."""
        return {
            "schema": SCHEMA,
            "written_on": self.written_on,
            "typefleet_version": self.version,
            "notice": NOTICE,
            "simulation": SIMULATION,
            "counts": {
                "open_decisions": len(self.decisions),
                "absent_safeguards": len(self.absent),
                "risks_by_band": self.by_band(),
            },
            "run": _figures(self.run),
            "processing": self._processing(),
            "flows": [_station(one) for one in self.way],
            "safeguards": [
                {**asdict(one), "state": str(one.state), "figures": _figures(one.figures)} for one in self.safeguards
            ],
            "scale": {
                "likelihood": [_level(*one) for one in scale.LIKELIHOOD.items()],
                "severity": [_level(*one) for one in scale.SEVERITY.items()],
                "bands": [{"band": name, "from": least, "to": most} for name, least, most in scale.BANDS],
                "formula": scale.FORMULA,
            },
            "risks": [_risk(one) for one in self.risks],
            "open_decisions": [{**one._asdict(), "provisions": list(one.provisions)} for one in self.decisions],
            "provisions": [
                {**one._asdict(), "answer": str(one.answer), "where": list(one.where)} for one in self.provisions
            ],
        }

    def _processing(self) -> dict[str, Any]:
        """The record of processing."""
        return {
            "purpose": self.purpose,
            "legal_basis": None,
            "legal_basis_why": BASIS_OPEN,
            "transfers": None,
            "transfers_why": TRANSFERS_OPEN,
            "subjects": _figures(self.subjects),
            "categories": [_row(one) for one in self.categories],
            "recipients": [_row(one) for one in self.recipients],
            "storage": [one._asdict() for one in self.kept],
            "files_in_no_table": self.unlisted,
        }


def _figures(figures: tuple[Figure, ...]) -> list[dict[str, Any]]:
    return [one._asdict() for one in figures]


def _row(one: Row) -> dict[str, Any]:
    return {**one._asdict(), "figures": _figures(one.figures)}


def _level(level: int, said: tuple[str, str]) -> dict[str, Any]:
    return {"level": level, "name": said[0], "means": said[1]}


def _station(one: Station) -> dict[str, Any]:
    marks = {
        name: [{"state": str(each.state), "text": each.text} for each in getattr(one, name)]
        for name in ("protections", "on_the_way")
    }
    return {**one._asdict(), "lines": list(one.lines), **marks}


def _risk(one: Risk) -> dict[str, Any]:
    return {
        "id": one.id,
        "name": one.name,
        "about": one.about,
        "likelihood": one.likelihood._asdict(),
        "severity": one.severity._asdict(),
        "score": one.score,
        "band": scale.band(one.score),
        "absent": list(one.absent),
    }


def assess(
    folder: Path, text_audit: Path | None = None, policy: Path | None = None, keys: Path | None = None
) -> Assessment:
    """Assess a run by its own plain files.

    Args:
        folder: of the run.
        text_audit: data_audit.json of its text, or its folder; None: there is none.
        policy: what is kept for how long; None: nobody said.
        keys: public keys that are trusted to sign a release; None: no signature is verified.

    Raises:
        ConfigError, LedgerError: as of `gather`.
    """
    run = gather(folder, text_audit, policy, keys)
    kept, found = storage(run), safeguards(run)
    risks = residual_risks(run, found, kept)
    return Assessment(
        written_on=f"{datetime.now(UTC):%Y-%m-%d}",
        version=version("typefleet"),
        run=_about(run),
        purpose=run.config.data.purpose,
        subjects=subjects(run),
        categories=categories(run),
        recipients=recipients(run),
        kept=kept,
        unlisted=unlisted(run),
        way=stations(run, found),
        safeguards=found,
        risks=risks,
        decisions=open_decisions(run, risks),
        provisions=provisions(run),
    )


def _about(run: Gathered) -> tuple[Figure, ...]:
    """Which run it is, and how far it came."""
    weights = run.at(SUMMARY, "weights_sha256")
    why = None if weights is not None else run.why_not(SUMMARY)
    return (
        Figure("weights, sha256 of the numbers", weights, "", f"{SUMMARY}: weights_sha256", why),
        Figure("settings, sha256, but for seeds and places of files", run.settings_sha256, "", "config.toml"),
        Figure("the run has ended", run.ended, "", "privacy_head.json"),
        run.figure("rounds completed", "rounds", SUMMARY, "rounds_completed"),
        run.figure("rounds abandoned", "rounds", SUMMARY, "rounds_abandoned"),
        run.figure("simulated time", "s", SUMMARY, "simulated_seconds"),
        Figure("privacy statement", STATEMENT in run.records, "", STATEMENT),
        Figure("who took part is on record", PARTICIPATION in run.records, "", PARTICIPATION),
    )
