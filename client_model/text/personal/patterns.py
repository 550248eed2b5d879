"""Personal data that has a form of its own: addresses, accounts, cards, dates of birth.

No pattern goes through a text more than a fixed number of times, so that a message made to be slow is not: what can
repeat has a bound, stands at a pattern's end, or is begun at one place alone.
"""

import ipaddress
import re
from bisect import bisect
from collections.abc import Iterator

from client_model.text.personal.check_digits import luhn, mod_97

Span = tuple[int, int]

_EMAIL = re.compile(r"(?<![\w.+%-])[\w.+%-]+@(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}")
_URL = re.compile(r"(?<!\w)(?:https?://|ftp://|www\.)[^\s<>\"']+", re.IGNORECASE)
# Without http:// or www., only under endings that are hardly a slip of the thumb between two sentences.
_DOMAIN = re.compile(
    r"(?<![\w.@-])(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.){1,6}"
    r"(?:com|net|org|edu|gov|info|biz|io|co\.uk|ac\.uk|org\.uk|co\.in|com\.au|com\.sg|com\.br|de|fr|es|nl|ch|eu)"
    r"(?![\w-])(?:/[^\s<>\"']*)?"
    r"|(?<![\w.@-])(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.){1,6}[a-z]{2,24}/[^\s<>\"']+",
    re.IGNORECASE | re.ASCII,
)
_IPV4 = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w]|\.\d)", re.ASCII)
_IPV6 = re.compile(r"(?<![\w:.])(?=[0-9a-f:]{0,39}:)[0-9a-f:]{3,39}(?![\w:])", re.IGNORECASE | re.ASCII)
_TRAILING = ".,;:!?)]}'\"…"  # of the sentence, not of the address

_DIGITS = re.compile(r"(?<!\d)\d(?:[ .-]?\d){12,}", re.ASCII)  # a card, or one among other digits
_GROUP = re.compile(r"\d+", re.ASCII)
_CARD_DIGITS = range(13, 20)
_SHORTEST_GROUP = 3  # digits of a card's groups but the last; shorter ones beside each other are lists of numbers

_IBAN = re.compile(r"(?<![^\W_])[A-Z]{2}\d\d(?=(?:[ -]?[A-Z0-9]){11})", re.IGNORECASE | re.ASCII)
# Characters of an IBAN by country, of the registry that SWIFT keeps under ISO 13616.
IBAN_LENGTHS = {
    country: int(length)
    for country, length in re.findall(
        r"([A-Z]{2})(\d\d)",
        "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DK18 DO28 EE20 EG29 ES24 FI18 "
        "FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 "
        "LU20 LV21 MC27 MD24 ME22 MK19 MR27 MT31 MU30 NL18 NO15 PK24 PL28 PS29 PT25 QA29 RO24 RS22 SA24 SC31 SE24 SI19 "
        "SK24 SM27 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20",
    )
}

_BIRTH = re.compile(
    r"(?<!\w)(?:born|birth(?:day|date)?|b-?day|d\.?o\.?b|n[ée]e? le|geboren|geb|nacid[oa]|nat[oa] il)(?!\w)",
    re.IGNORECASE,
)
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}\.?"
_YEAR = r"(?:(?:19|20)\d\d|'?\d\d)"
_DATE = re.compile(
    r"(?<![\w])(?:"
    rf"(?:19|20)\d\d(?P<a>[-/.])(?:0?[1-9]|1[0-2])(?P=a)(?:0?[1-9]|[12]\d|3[01])"
    rf"|(?:0?[1-9]|[12]\d|3[01])(?P<b>[-/.])(?:0?[1-9]|[12]\d|3[01])(?:(?P=b){_YEAR})?"
    rf"|(?:0?[1-9]|[12]\d|3[01])(?:st|nd|rd|th)?(?: of)? {_MONTH}(?:,? {_YEAR}(?!\w))?"
    rf"|{_MONTH} (?:0?[1-9]|[12]\d|3[01])(?:st|nd|rd|th)?(?:,? (?:19|20)\d\d)?"
    r")(?![\w])",
    re.IGNORECASE,
)
_AFTER_BIRTH, _BEFORE_BIRTH = 40, 25  # characters between a date and what says that it is one of birth


def emails(text: str) -> Iterator[Span]:
    """Addresses of e-mail (RFC 5322's dot-atoms, as people write them)."""
    return (found.span() for found in _EMAIL.finditer(text)) if "@" in text else iter(())


def hosts(text: str) -> Iterator[Span]:
    """URLs, names of hosts under common endings, IPv4 and IPv6 addresses."""
    if "." in text or "://" in text:
        for pattern in (_URL, _DOMAIN):
            for found in pattern.finditer(text):
                yield found.start(), found.start() + len(found[0].rstrip(_TRAILING))
        yield from _addresses(_IPV4, text)
    if text.count(":") > 1:
        yield from _addresses(_IPV6, text)


def _addresses(pattern: re.Pattern[str], text: str) -> Iterator[Span]:
    for found in pattern.finditer(text):
        try:
            address = ipaddress.ip_address(found[0])
        except ValueError:
            continue
        if not address.is_unspecified:  # "::" is punctuation
            yield found.span()


def cards(text: str) -> Iterator[Span]:
    """Payment cards: 13 to 19 digits, perhaps in groups, that begin as cards do and have the digit of ISO/IEC 7812.

    Other numbers may stand before and behind, as a day of expiry does: of a run of groups, each part that holds is
    one. Parts may overlap, since which of them is the card cannot be known.
    """
    for run in _DIGITS.finditer(text):
        groups = [(group.start(), group.end()) for group in _GROUP.finditer(text, run.start(), run.end())]
        for first, (begin, _) in enumerate(groups):
            if text[begin] in "23456":
                yield from _cards_from(text, groups, first)


def _cards_from(text: str, groups: list[Span], first: int) -> Iterator[Span]:
    digits, is_list = "", False
    for last, (begin, end) in enumerate(groups[first:], start=first):
        digits += text[begin:end]
        if len(digits) >= _CARD_DIGITS.stop:
            return
        is_whole = first == 0 and last == len(groups) - 1
        if len(digits) in _CARD_DIGITS and (is_whole or not is_list) and len(set(digits)) > 1 and luhn(digits):
            yield groups[first][0], end
        is_list = is_list or end - begin < _SHORTEST_GROUP


def ibans(text: str) -> Iterator[Span]:
    """Bank accounts: an IBAN as long as its country's are, with the right check digits."""
    for found in _IBAN.finditer(text):
        length = IBAN_LENGTHS.get(found[0][:2].upper())
        if length is None:
            continue
        whole = re.compile(rf"(?:[A-Z0-9][ -]?){{{length - 1}}}[A-Z0-9](?![A-Z0-9])", re.IGNORECASE | re.ASCII)
        account = whole.match(text, found.start())
        if account is not None and mod_97(re.sub("[ -]", "", account[0]).upper()):
            yield account.span()


def birth_dates(text: str) -> Iterator[Span]:
    """Dates close to a word of birth; a date alone may be of anything."""
    births = [found.span() for found in _BIRTH.finditer(text)]
    if not births:
        return
    for found in _DATE.finditer(text):
        begin, end = found.span()
        before = bisect(births, (begin, begin)) - 1  # the last word of birth that begins before the date
        is_after = before >= 0 and 0 <= begin - births[before][1] <= _AFTER_BIRTH
        if is_after or any(0 <= first - end <= _BEFORE_BIRTH for first, _ in births[before + 1 : before + 2]):
            yield begin, end
