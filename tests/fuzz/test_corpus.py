"""Every input of the corpus is refused in one line or rightly accepted, through the functions that scripts call."""

import pytest

from tests.fuzz.cases import cases_of, parsers, problems


@pytest.mark.parametrize("parser", parsers(), ids=lambda parser: parser.kind)
def test_no_input_breaks_a_parser(parser, tmp_path):
    said = problems(cases_of(parser), tmp_path)
    assert not said, "\n".join(said)


def test_there_are_inputs_enough():
    assert sum(len(cases_of(parser)) for parser in parsers()) >= 1_500
