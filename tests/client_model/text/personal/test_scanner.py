"""What is personal in a text is found where it stands, and what only looks like it is not."""

import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client_model.text.personal.check_digits import luhn, mod_97, verhoeff
from client_model.text.personal.kinds import Kind
from client_model.text.personal.scanner import Scanner, redacting_scanner
from typefleet.errors import ConfigError

FORMS = (Kind.EMAIL, Kind.HOST, Kind.IBAN, Kind.NATIONAL_ID, Kind.CARD, Kind.BIRTH_DATE)


def found(text, kinds=FORMS, regions=("US", "GB")):
    return [(one.kind.value, text[one.begin : one.end]) for one in Scanner(regions, kinds).find(text)]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("write to jo.bloggs+x@mail.example.co.uk, ok?", [("e-mail", "jo.bloggs+x@mail.example.co.uk")]),
        ("see http://a.b/c?d=e. or www.x.org, ok", [("host", "http://a.b/c?d=e"), ("host", "www.x.org")]),
        ("at 192.168.0.1 or fe80::1 from 10:30:22", [("host", "192.168.0.1"), ("host", "fe80::1")]),
        ("iban gb82 west 1234 5698 7654 32 thanks", [("iban", "gb82 west 1234 5698 7654 32")]),
        ("DE89-3704-0044-0532-0130-00.", [("iban", "DE89-3704-0044-0532-0130-00")]),
        ("4111 1111 1111 1111, 378282246310005", [("card", "4111 1111 1111 1111"), ("card", "378282246310005")]),
        ("born on 17 May 1990, in may", [("birth-date", "17 May 1990")]),
        ("5/17 is my bday", [("birth-date", "5/17")]),
        # Of each country, an example that its office or a textbook gives.
        ("it is 123-45-6789", [("national-id", "123-45-6789")]),
        ("NI ab 12 34 56 c", [("national-id", "ab 12 34 56 c")]),
        ("12345678Z and X1234567L", [("national-id", "12345678Z"), ("national-id", "X1234567L")]),
        ("2 55 08 14 168 025 38", [("national-id", "2 55 08 14 168 025 38")]),
        ("RSSMRA85T10A562S", [("national-id", "RSSMRA85T10A562S")]),
        ("S1234567D", [("national-id", "S1234567D")]),
        ("130 692 544", [("national-id", "130 692 544")]),
        ("529.982.247-25", [("national-id", "529.982.247-25")]),
        ("2234 5678 9124", [("national-id", "2234 5678 9124")] if verhoeff("223456789124") else []),
    ],
)
def test_each_kind_is_found_as_a_whole_and_nothing_beside_it(text, wanted):
    assert found(text) == wanted


_CARD = "4111 1111 1111 1111"


@pytest.mark.parametrize("before", ["", "2 ", "b 2-", "12 27 "])
@pytest.mark.parametrize("after", ["", " 12/27", "-3", ".4"])
@pytest.mark.parametrize(
    ("kind", "value"),
    [
        *(("card", _CARD), ("card", _CARD.replace(" ", "-")), ("card", "378282246310005")),
        *(("national-id", "219-09-9999"), ("national-id", "AB 12 34 56 C"), ("national-id", "130 692 544")),
    ],
)
def test_digits_beside_a_number_do_not_hide_it(kind, value, before, after):
    text = f"{before}{value}{after}"
    place = len(before)
    assert any(
        one.kind.value == kind and one.begin <= place and place + len(value) <= one.end
        for one in Scanner((), FORMS).find(text)
    )


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (f"{_CARD} 5555 5555 5555 4444", [("card", _CARD), ("card", "5555 5555 5555 4444")]),
        ("aadhaar 2345 6789 0124 5", [("national-id", "2345 6789 0124")]),
        ("130 130 692 544", [("national-id", "130 692 544")]),
        (
            "https://host.example/reset?email=jo.b@mail.co.uk&code=884412",
            [("host", "https://host.example/reset?email=jo.b@mail.co.uk&code=884412")],
        ),
        ("https://user:hunter2@db.example.com/x", [("host", "https://user:hunter2@db.example.com/x")]),
        ("_jo@example.com_", [("e-mail", "_jo@example.com")]),
        (f"{'a' * 70}@example.com", [("e-mail", f"{'a' * 70}@example.com")]),
        (f"http://a.b/{'c/' * 2000}", [("host", f"http://a.b/{'c/' * 2000}")]),
        *((_CARD.replace(" ", mark), [("card", _CARD.replace(" ", mark))]) for mark in "\u00a0\u202f\u2011"),
        (
            "GB82\u00a0WEST\u00a01234\u00a05698\u00a07654\u00a032",
            [("iban", "GB82\u00a0WEST\u00a01234\u00a05698\u00a07654\u00a032")],
        ),
    ],
)
def test_nothing_of_what_is_found_is_left_beside_it(text, wanted):
    assert found(text) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "see you @ home at 10:30, it was 3.50",
        "ok.thanks.see you",
        "android 4.4.2, version 1.2.3",
        "256.1.1.1 and 1.2.3.4.5",
        "4 11 11 11 11 11 11 11 11 and 1 4 11 11 11 11 11 11 11 11 2",  # a list of numbers
        "4111 1111 1111 1112",  # its check digit is another
        "1234567890123456789012345",
        "GB82WEST12345698765433",
        "GB82WEST123456987654321",  # too long
        "12345678A",
        "S1234567E",
        "130 692 545",
        "000-45-6789 and 123-00-6789",
        "we meet on 17 May 1990",  # no word of birth
        "may the 4th be with you, 12/5",
        "born free, in a small town, and after forty letters more 1/2",
    ],
)
def test_what_only_looks_like_it_is_not_found(text):
    assert found(text) == []


@given(st.text(st.sampled_from("0123456789"), min_size=12, max_size=18))
def test_one_check_digit_in_ten_is_right_and_no_slip_of_one_digit_passes(digits):
    for holds in (luhn, verhoeff):
        right = [check for check in range(10) if holds(f"{digits}{check}")]
        assert len(right) == 1
        whole = f"{digits}{right[0]}"
        assert not any(holds(whole[:3] + str((int(whole[3]) + n) % 10) + whole[4:]) for n in range(1, 10))
    swapped = digits[1] + digits[0] + digits[2:]
    if digits[0] != digits[1]:  # Verhoeff's also tells neighbours that changed places, always
        check = next(c for c in range(10) if verhoeff(f"{digits}{c}"))
        assert not verhoeff(f"{swapped}{check}")


@given(st.text(st.sampled_from("0123456789ABCXYZ"), min_size=10, max_size=26))
def test_an_iban_has_one_pair_of_check_digits_in_97(account):
    right = [check for check in range(2, 99) if mod_97(f"GB{check:02}{account}")]
    assert len(right) == 1


@settings(max_examples=60)
@given(st.text(st.sampled_from("0123456789 .-@:/awx+"), max_size=60))
def test_findings_lie_in_the_text_in_order_and_never_overlap(text):
    findings = Scanner((), FORMS).find(text)
    ends = [0, *(one.end for one in findings)]
    assert all(end <= one.begin < one.end <= len(text) for end, one in zip(ends, findings, strict=False))


def test_telephone_numbers_are_those_of_the_numbering_plans():
    pytest.importorskip("phonenumbers")
    text = "call (415) 555-2671 or 020 7946 0018 or +65 9123 4567, order 12345678"
    numbers = ["(415) 555-2671", "020 7946 0018", "+65 9123 4567"]
    assert found(text, [Kind.TELEPHONE]) == [("telephone", one) for one in numbers]
    assert found(text, [Kind.TELEPHONE], ("GB",)) == [("telephone", one) for one in numbers[1:]]
    with pytest.raises(ConfigError, match=r"regions of telephone numbers: expected two capital letters .*, found 'XX'"):
        Scanner(("XX",))


def test_names_are_those_of_the_list_with_a_capital():
    pytest.importorskip("faker")
    text = "Will you tell Anna Smith? Grace came. i saw anna, and Grace"
    assert found(text, [Kind.NAME]) == [("name", "Anna Smith"), ("name", "Grace")]


def test_without_a_package_a_kind_is_said_not_to_be_looked_for_and_nothing_is_redacted(monkeypatch):
    monkeypatch.setitem(sys.modules, "phonenumbers", None)
    scanner = Scanner(("US",))
    assert scanner.missing[Kind.TELEPHONE] == (
        "not looked for: the package phonenumbers is not installed (extra data-audit)"
    )
    assert scanner.find("call (415) 555-2671, jo@example.com")[0].kind is Kind.EMAIL
    with pytest.raises(ConfigError, match=r"--data\.redact: expected the package phonenumbers .*, found none"):
        redacting_scanner(("US",))
