"""Which words the letters typed so far may become.

A word fits if it begins with the letters. It nearly fits if some beginning of it is one edit away from them: one letter
put for another, one missing, one too many, or two neighbours swapped. The first letter is always taken as meant, so
that a slip in the middle of a word is forgiven and the list of near words stays short.
"""

EXACT, NEAR, UNLIKE = 0, 1, 2  # in the order in which they are shown


def fit(word: str, typed: str) -> int:
    """EXACT, NEAR or UNLIKE.

    Args:
        word: in lower case.
        typed: letters in lower case; none fits every word.
    """
    if word.startswith(typed):
        return EXACT
    if word[:1] != typed[:1]:
        return UNLIKE
    place = 1  # of the first letter that differs; the word does not begin so, so typed has one
    while place < min(len(word), len(typed)) and word[place] == typed[place]:
        place += 1
    rest, letters = word[place:], typed[place:]
    near = (
        rest.startswith(letters[1:])  # one too many
        or (rest != "" and rest[1:].startswith(letters[1:]))  # one for another
        or (rest != "" and rest[1:].startswith(letters))  # one missing
        or (len(letters) > 1 and rest.startswith(letters[1] + letters[0] + letters[2:]))  # two swapped
    )
    return NEAR if near else UNLIKE
