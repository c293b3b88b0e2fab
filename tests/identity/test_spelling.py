"""Codes as people type them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity.spelling import MAX_TYPED, plain_code


@pytest.mark.parametrize(
    "typed",
    [
        "123456",
        " 123 456 ",
        "123-456",
        "123–456",
        "１２３４５６",
        "١٢٣٤٥٦",
        "۱۲۳۴۵۶",
        "१२३४५६",
        "123\u00a0456",
        "\u200f123456\u200e",
        "123\u2212456\n",
        "1\t2 3-4‑5—6",
    ],
)
def test_every_spelling_of_a_code_is_the_code(typed):
    """R24: spaces, dashes, full-width and other scripts' digits, marks that came along with a copy."""
    assert plain_code(typed) == "123456"


@given(
    st.text("0123456789ABCDEFGHJKMNPQRSTVWXYZ", min_size=1, max_size=16),
    st.lists(st.sampled_from(list(" -–—‑−\u00a0\u2009\u3000\t\u200e\u200f\u00ad")), max_size=40),
    st.randoms(use_true_random=False),
)
def test_what_stands_between_never_matters(code, between, random):
    """R24: however a code is broken up and whatever its case, it stays that code."""
    typed = list(code.lower() if random.random() < 0.5 else code)
    for mark in between:
        typed.insert(random.randint(0, len(typed)), mark)

    assert plain_code("".join(typed)) == code


@given(st.text())
def test_nothing_that_is_typed_breaks_it(typed):
    """R73: any Unicode is an answer, if a wrong one."""
    plain_code(typed)


def test_a_novel_is_not_a_code():
    """R73: what is too long to be a code is not looked at."""
    assert plain_code("1" * (MAX_TYPED + 1)) == ""
