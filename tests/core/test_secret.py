"""A secret never shows its text."""

from __future__ import annotations

import pickle

import pytest

from syncer.core.secret import Secret


def test_a_secret_prints_as_a_mask() -> None:
    secret = Secret("abc")
    assert [str(secret), repr(secret), f"{secret}", f"{secret:>5}", f"{[secret]}"] == ["***"] * 3 + [
        "  ***",
        "[***]",
    ]
    assert secret.reveal() == "abc"


def test_secrets_are_compared_by_their_text() -> None:
    assert Secret("abc") == Secret("abc") != Secret("abd") and Secret("abc") != "abc"
    assert len({Secret("abc"), Secret("abc"), "abc"}) == 2
    assert Secret("abc") and not Secret("")


def test_a_secret_is_not_written_down() -> None:
    with pytest.raises(TypeError, match="is not written down"):
        pickle.dumps(Secret("abc"))
