"""What hosts answer where the server is to learn sums alone; beside `protocol`, whose words these are.

    train:    out  update-sum  one int64 array [length], the sum of the phones' vectors modulo 2^64, see
                             `aggregation.vector`; under secagg each phone has masked its own before it was added
                   metrics   phone-ids      [reported], phones in the sum
                             rejected-ids   phones that left themselves out, since their update was not finite
                             failed-ids     phones whose training raised; may be missing
                   failures  causes         a text for each of failed-ids; may be missing with them
                   profile   where the host's time went; only if asked for
                   vectors   digest         32 bytes, of the vectors in the sum, under a key that the server never has
                                            (`distributed_noise.vectors_digest`); only where phones add the noise

There is no number of a single phone in it. Under secagg, phones and server say more to each other, see
`aggregation.messages`, through hosts that have many phones each:

    train:    in   steps     aggregation-terms  of the round, as JSON
                             heard          what the server has sent each phone in this round, phone by phone
    query.aggregation_step:
              in   config    phone-ids      [phones]
                   steps     aggregation-terms, heard; as above
              out  metrics   phone-ids      [said], phones that answer
                   said      messages       theirs, in this order
                   refused   causes         of phones that leave, since they refuse what they heard; by cause

Where phones add the noise, they are told how; their vectors are then those of `aggregation.noised_vectors`:

    train:    in   phone-noise   form       a `NoisedVectors`, as JSON

Phones that are simulated have their randomness of one secret, which whoever simulates them adds on the way:

    train, query.aggregation_step:
              in   phone-secret  key        32 bytes, of keys and masks
    train:    in   phone-noise-key  key     32 bytes, of rounding and noise, where phones add it
                             source         `secret` or `seeded`, as of `NoiseKey`
"""

import json
from dataclasses import asdict, dataclass

import numpy as np
from flwr.app import ConfigRecord, Message, MetricRecord, RecordDict
from numpy.typing import NDArray

from server_strategy.aggregation.graph import Assumptions
from server_strategy.aggregation.keys import RunSecret
from server_strategy.aggregation.masks import Ring
from server_strategy.aggregation.noised_vectors import NoisedVectors
from server_strategy.aggregation.terms import RoundTerms
from server_strategy.privacy.distributed_noise.phone_noise import PhoneNoise
from server_strategy.privacy.distributed_noise.vectors_digest import DIGEST_BYTES
from server_strategy.privacy.noise_key import NoiseKey
from server_strategy.record_reader import ProtocolError, RecordReader, as_list, found_record, record_of
from server_strategy.shard_reply import Ids, ShardReply, read_reply, require_asked
from typefleet.errors import expected

_METRICS, _PHONES, _CAUSES = "metrics", "phone-ids", "causes"
_CONFIG, _STEPS, _TERMS, _HEARD = "config", "steps", "aggregation-terms", "heard"
_SAID, _MESSAGES, _REFUSED = "said", "messages", "refused"
_SECRET, _KEY = "phone-secret", "key"
_NOISE, _FORM, _NOISE_KEY, _SOURCE = "phone-noise", "form", "phone-noise-key", "source"
_VECTORS, _DIGEST = "vectors", "digest"
STEP_ACTION = "aggregation_step"  # of a query


@dataclass(frozen=True, kw_only=True)
class SummedReply(ShardReply):
    """What a host's share of a round came to, without a number of any phone; see the module docstring."""

    total: NDArray[np.int64]  # [length], modulo 2^64
    vectors_digest: bytes | None = None  # of 32 bytes, where phones add the noise

    def to_content(self) -> RecordDict:
        """Inverse of `from_message`."""
        content = self.content_with(self.total, {})
        if self.vectors_digest is not None:
            content[_VECTORS] = ConfigRecord({_DIGEST: self.vectors_digest})
        return content

    @staticmethod
    def from_message(reply: Message, asked: Ids, length: int) -> "SummedReply":
        """Read an answer.

        Args:
            reply: without an error.
            asked: ids of all phones that may be in it.
            length: numbers of a vector.

        Raises:
            ProtocolError: it is not of this form, or names a phone that was not asked.
        """
        read = read_reply(reply, asked, length)
        return SummedReply(**read.said, total=read.total, vectors_digest=_digest_in(reply.content, read.metrics.where))


def _digest_in(content: RecordDict, where: str) -> bytes | None:
    record = found_record(content, ConfigRecord, _VECTORS)
    if record is None:
        return None
    digest = record.get(_DIGEST)
    if not (isinstance(digest, bytes) and len(digest) == DIGEST_BYTES):
        raise ProtocolError(expected(where, f"{_VECTORS} with a digest of {DIGEST_BYTES} bytes", "another"))
    return digest


@dataclass(frozen=True, kw_only=True)
class StepRequest:
    """Let these phones take their next step of secure aggregation; goes with a request to train as well.

    A phone hears everything again that it heard in the round, so that any host can have it.
    """

    terms: RoundTerms
    phones: Ids
    heard: tuple[tuple[bytes, ...], ...]  # [phones], equally many messages each

    def to_content(self, content: RecordDict | None = None) -> RecordDict:
        """Inverse of `from_content`.

        Args:
            content: of a request to train these phones, which is added to; None: of a message of its own.
        """
        steps = ConfigRecord({_TERMS: _terms_to_json(self.terms)})
        steps[_HEARD] = [one for own in self.heard for one in own]
        if content is None:
            content = RecordDict({_CONFIG: ConfigRecord({_PHONES: self.phones.tolist()})})
        return RecordDict({**content, _STEPS: steps})

    @staticmethod
    def from_content(content: RecordDict) -> "StepRequest":
        """Read what a host was sent.

        Raises:
            ProtocolError: it is not of this form.
        """
        where = "message to a host"
        phones = RecordReader(where, record_of(content, ConfigRecord, _CONFIG, where)).integers(_PHONES)
        steps = record_of(content, ConfigRecord, _STEPS, where)
        heard = as_list(steps.get(_HEARD, []))
        each, rest = divmod(len(heard), max(len(phones), 1))
        if rest or not all(isinstance(one, bytes) for one in heard):
            raise ProtocolError(expected(where, f"equally many {_HEARD} for each of {len(phones)} phones", "others"))
        own = tuple(tuple(heard[at * each : (at + 1) * each]) for at in range(len(phones)))
        return StepRequest(terms=_terms_from_json(steps.get(_TERMS), where), phones=phones, heard=own)


@dataclass(frozen=True, kw_only=True)
class StepReply:
    """What phones say in a step of secure aggregation."""

    phones: Ids  # [said]
    said: tuple[bytes, ...]  # in this order
    refused: tuple[str, ...] = ()  # causes, of phones that leave; whose is not said

    def to_content(self) -> RecordDict:
        """Inverse of `from_message`."""
        content = RecordDict({_METRICS: MetricRecord({_PHONES: self.phones.tolist()})})
        content[_SAID] = ConfigRecord({_MESSAGES: list(self.said)})
        content[_REFUSED] = ConfigRecord({_CAUSES: list(self.refused)})
        return content

    @staticmethod
    def from_message(reply: Message, asked: Ids) -> "StepReply":
        """Read an answer.

        Args:
            reply: without an error.
            asked: ids of all phones that may be in it.

        Raises:
            ProtocolError: it is not of this form, or names a phone that was not asked.
        """
        where = f"answer of node {reply.metadata.src_node_id} to a step"
        phones = RecordReader(where, record_of(reply.content, MetricRecord, _METRICS, where)).integers(_PHONES)
        require_asked(where, phones, asked)
        said = as_list(record_of(reply.content, ConfigRecord, _SAID, where).get(_MESSAGES, []))
        refused = as_list(record_of(reply.content, ConfigRecord, _REFUSED, where).get(_CAUSES, []))
        if len(said) != len(phones) or not all(isinstance(one, bytes) for one in said):
            raise ProtocolError(expected(where, f"{_MESSAGES} of {len(phones)} phones", f"{len(said)} values"))
        if not all(isinstance(one, str) for one in refused):
            raise ProtocolError(expected(where, f"{_CAUSES} to be texts", "others"))
        return StepReply(phones=phones, said=tuple(said), refused=tuple(refused))


def with_phone_secret(content: RecordDict, secret: RunSecret) -> RecordDict:
    """What a host is sent, with the secret that stands for the randomness of its simulated phones."""
    return RecordDict({**content, _SECRET: ConfigRecord({_KEY: secret.key})})


def phone_secret_of(content: RecordDict) -> RunSecret:
    """The secret that `with_phone_secret` added.

    Raises:
        ProtocolError: there is none.
    """
    key = record_of(content, ConfigRecord, _SECRET, "message to a host").get(_KEY)
    if not isinstance(key, bytes):
        raise ProtocolError(expected("message to a host", f"{_SECRET} to have bytes", type(key).__name__))
    return RunSecret(key)


def with_noise_key(content: RecordDict, key: NoiseKey) -> RecordDict:
    """What a host is sent, with the key that stands for the randomness of its simulated phones' noise."""
    bits, source = key.exported()
    return RecordDict({**content, _NOISE_KEY: ConfigRecord({_KEY: bits, _SOURCE: source})})


def noise_key_of(content: RecordDict) -> NoiseKey:
    """The key that `with_noise_key` added.

    Raises:
        ProtocolError: there is none.
    """
    where = "message to a host"
    record = record_of(content, ConfigRecord, _NOISE_KEY, where)
    bits, source = record.get(_KEY), record.get(_SOURCE)
    try:
        return NoiseKey.imported(bits, source)
    except ValueError as error:
        raise ProtocolError(expected(where, f"{_NOISE_KEY} to be a key", "none")) from error


def with_phone_noise(content: RecordDict, form: NoisedVectors) -> RecordDict:
    """A request to train phones that add the noise."""
    return RecordDict({**content, _NOISE: ConfigRecord({_FORM: json.dumps(asdict(form))})})


def phone_noise_of(content: RecordDict) -> NoisedVectors | None:
    """What phones are to add; None if the server does.

    Raises:
        ProtocolError: it is of another form.
    """
    record = found_record(content, ConfigRecord, _NOISE)
    if record is None:
        return None
    try:
        said = json.loads(str(record.get(_FORM)))
        return NoisedVectors(**{**said, "noise": PhoneNoise(**said["noise"])})
    except (ValueError, TypeError, KeyError) as error:
        raise ProtocolError(expected("message to a host", f"{_NOISE} of a run", "another")) from error


def _terms_to_json(terms: RoundTerms) -> str:
    return json.dumps({**asdict(terms), "authority": terms.authority.hex()})


def _terms_from_json(text: object, where: str) -> RoundTerms:
    try:
        said = json.loads(str(text))
        return RoundTerms(
            **{
                **said,
                "authority": bytes.fromhex(said["authority"]),
                "ring": Ring(**said["ring"]),
                "assumptions": Assumptions(**said["assumptions"]),
            }
        )
    except (ValueError, TypeError, KeyError) as error:
        raise ProtocolError(expected(where, f"{_TERMS} of a round", "others")) from error
