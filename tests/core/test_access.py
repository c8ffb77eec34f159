"""Keys of PBXs and phones: which one a request shows, whose it is, and how often it may be used."""

from __future__ import annotations

from base64 import b64encode

import pytest

from syncer.core import access

KEYS = {name: access.digest(f"{name}-key-0123456789") for name in ("pbx", "phones")}


@pytest.mark.parametrize(
    ("header", "authorization", "query", "shown"),
    [
        ("a", "Bearer b", "c", "a"),
        (None, "Bearer b", "c", "b"),
        ("", "bearer  b ", None, "b"),
        (None, f"Basic {b64encode(b'phone:b').decode()}", "c", "b"),
        (None, f"Basic {b64encode(b'phone').decode()}", "c", "c"),
        (None, "Basic ???", "c", "c"),
        (None, "Digest b", "c", "c"),
        (None, "Bearer", "c", "c"),
        (None, None, None, None),
    ],
)
def test_the_first_key_that_is_shown_counts(
    header: str | None, authorization: str | None, query: str | None, shown: str | None
) -> None:
    assert access.presented(header, authorization, query) == shown


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("pbx-key-0123456789", "pbx"),
        ("phones-key-0123456789", "phones"),
        ("pbx-key-012345678", None),
        ("\udc80", None),
        ("", None),
        (None, None),
    ],
)
def test_a_key_belongs_to_one_or_to_nobody(key: str | None, name: str | None) -> None:
    assert access.holder(KEYS, key) == name


def test_an_empty_key_is_nobody_even_if_one_is_known() -> None:
    assert access.holder({"odd": access.digest("")}, "") is None


def test_twenty_requests_in_any_second() -> None:
    def admit(recent: tuple[float, ...], now: float) -> tuple[float, ...] | None:
        return access.admit(recent, now, access.MOST, access.SPAN)

    recent: tuple[float, ...] = ()
    for n in range(access.MOST):
        found = admit(recent, n / 100)
        assert found is not None
        recent = found
    assert admit(recent, 0.99) is None
    later = admit(recent, 1.0)  # the first has left the second, the other 19 have not
    assert later is not None and len(later) == access.MOST
    assert admit(later, 1.001) is None
    assert admit(later, 9.0) == (9.0,)


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("x" * 16, None),
        ("x" * 15, "too short"),
        ("a key with blanks in it", "no HTTP header holds"),
        ("schlüssel-0123456789", "no HTTP header holds"),
    ],
)
def test_keys_that_cannot_be_used(key: str, why: str | None) -> None:
    found = access.unusable(key)
    assert (found is None) if why is None else why in (found or "")
    assert key not in (found or "")
