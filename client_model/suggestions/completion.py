"""Which words the letters typed so far may become.

A word fits if it begins with the letters; apostrophes need not be typed. It nearly fits if some beginning of it is one
slip away from them: one letter put for another, one missing, one too many, or two neighbours swapped. The first letter
is taken as meant, unless it is swapped with the second, so that the list of near words stays short. A word is far off
if the letters are many and a beginning of it is two slips away.
"""

EXACT, NEAR, FAR, UNLIKE = 0, 1, 2, 3  # in the order in which they are shown
LETTERS_FOR_SWAP, LETTERS_FOR_TWO_SLIPS = 3, 7  # fewer are within as much of too many words
_APOSTROPHE = "'"


def fit(word: str, typed: str) -> int:
    """EXACT, NEAR, FAR or UNLIKE.

    Args:
        word: in lower case.
        typed: letters in lower case; none fits every word.
    """
    if word.startswith(typed) or (_APOSTROPHE not in typed and word.replace(_APOSTROPHE, "").startswith(typed)):
        return EXACT
    if word[:1] != typed[:1]:
        swapped = typed[1:2] + typed[:1] + typed[2:]
        return NEAR if len(typed) >= LETTERS_FOR_SWAP and word.startswith(swapped) else UNLIKE
    if _begins_within(word[1:], typed[1:], 1):
        return NEAR
    return FAR if len(typed) >= LETTERS_FOR_TWO_SLIPS and _begins_within(word[1:], typed[1:], 2) else UNLIKE


def _begins_within(word: str, letters: str, slips: int) -> bool:
    """Whether some beginning of a word is at most `slips` slips away from the letters."""
    place = 0  # of the first letter that differs
    while place < min(len(word), len(letters)) and word[place] == letters[place]:
        place += 1
    if place == len(letters):
        return True
    if slips == 0:
        return False
    rest, left = word[place:], letters[place:]
    return (
        _begins_within(rest, left[1:], slips - 1)  # one too many
        or (rest != "" and _begins_within(rest[1:], left[1:], slips - 1))  # one for another
        or (rest != "" and _begins_within(rest[1:], left, slips - 1))  # one missing
        or (len(left) > 1 and rest[:2] == left[1] + left[0] and _begins_within(rest[2:], left[2:], slips - 1))
    )
