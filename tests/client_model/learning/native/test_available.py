"""A kernel that was built before its interface changed is as good as none."""

import pytest

from client_model.learning.native.available import INTERFACE, is_built
from tests.client_model.learning.native.built import kernel


def test_the_kernel_that_is_built_is_of_this_code():
    assert is_built(), "it was built from an earlier state: python setup.py build_ext --inplace"


@pytest.mark.parametrize("found", [None, INTERFACE - 1, INTERFACE + 1])
def test_a_kernel_with_another_interface_or_none_is_not_taken(monkeypatch, found):
    if found is None:
        monkeypatch.delattr(kernel, "INTERFACE")
    else:
        monkeypatch.setattr(kernel, "INTERFACE", found)
    assert not is_built.__wrapped__()
