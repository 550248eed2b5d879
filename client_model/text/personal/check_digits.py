"""Check digits: a number that has them right is hardly there by chance."""

_VERHOEFF_PERMUTED = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)  # what the permutation makes of 0 to 9


def luhn(digits: str) -> bool:
    """Whether the last digit is that of ISO/IEC 7812-1, annex B: cards, and Canadian insurance numbers.

    Example:
        >>> luhn("4111111111111111"), luhn("4111111111111112")
        (True, False)
    """
    doubled = [int(d) * (1 + place % 2) for place, d in enumerate(reversed(digits))]
    return sum(n - 9 * (n > 9) for n in doubled) % 10 == 0


def mod_97(account: str) -> bool:
    """Whether the check digits of an IBAN, in capitals and without blanks, are those of ISO 13616 (ISO 7064, 97-10).

    Example:
        >>> mod_97("GB82WEST12345698765432"), mod_97("GB82WEST12345698765433")
        (True, False)
    """
    return int("".join(str(int(c, 36)) for c in account[4:] + account[:4])) % 97 == 1


def verhoeff(digits: str) -> bool:
    """Whether the last digit is that of Verhoeff (Error Detecting Decimal Codes, 1969): in the dihedral group D5.

    Example:
        >>> verhoeff("2363"), verhoeff("2364")
        (True, False)
    """
    check = 0
    for place, digit in enumerate(reversed(digits)):
        permuted = int(digit)
        for _ in range(place % 8):
            permuted = _VERHOEFF_PERMUTED[permuted]
        check = _dihedral(check, permuted)
    return check == 0


def _dihedral(a: int, b: int) -> int:
    """The product in D5, rotations being 0 to 4 and reflections 5 to 9."""
    if a < 5:
        return (a + b) % 5 + 5 * (b >= 5)
    return (a - b) % 5 + 5 * (b < 5)
