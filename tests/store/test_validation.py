from __future__ import annotations

import contextlib
import enum
import fractions
import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import ExporterError, InvalidUpdate
from exporter.store import validation
from exporter.store.validation import Limits, Reason

LIMITS = Limits()


class Name(str, enum.Enum):  # noqa: UP042 - the older kind, which prints as "Name.XQC"
    XQC = "xQc"


@pytest.mark.parametrize("given_name", ["x", "x" * 128, 'q"uote\\ and\nnewline', "\N{BLACK HEART SUIT}\U0001f600", " "])
def test_any_text_that_utf8_can_carry_is_a_name(given_name: str) -> None:
    assert validation.name("streamer", given_name, LIMITS) == given_name


def test_a_name_of_a_subclass_of_str_becomes_plain_text() -> None:
    name = validation.name("streamer", Name.XQC, LIMITS)
    assert type(name) is str
    assert name == "xQc"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("", "streamer: expected text of 1 to 128 characters, got ''"),
        ("x" * 129, f"streamer: expected text of 1 to 128 characters (this has 129), got '{'x' * 27}...{'x' * 28}'"),
        (7, "streamer: expected text, got 7"),
        (None, "streamer: expected text, got None"),
        (["xQc"], "streamer: expected text, got ['xQc']"),
        (b"xQc", "streamer: expected text, got b'xQc'"),
        ("a\ud800", "streamer: expected text without lone surrogates, got 'a\\ud800'"),
    ],
)
def test_what_is_no_name_is_refused(value: object, message: str) -> None:
    with pytest.raises(InvalidUpdate) as refusal:
        validation.name("streamer", value, LIMITS)
    assert str(refusal.value) == message
    assert refusal.value.reason == Reason.NAME
    assert refusal.value.value is value


@pytest.mark.parametrize(
    ("value", "kept"),
    [(0, 0), (45000, 45000), (2**70, 2**70), (125.5, 125.5), (5e-324, 5e-324), (fractions.Fraction(1, 2), 0.5)],
)
def test_a_finite_number_of_at_least_0_is_kept(value: Any, kept: float) -> None:
    number = validation.number("viewers", value)
    assert (number, type(number)) == (kept, type(kept))


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (-1, "-1"),
        (-0.1, "-0.1"),
        (math.nan, "nan"),
        (math.inf, "inf"),
        (10**400, f"1{'0' * 17}...{'0' * 19}"),
        (None, "None"),
        ("many", "'many'"),
        ("45000", "'45000'"),
        (True, "True"),
        (1j, "1j"),
    ],
)
def test_what_is_no_number_for_a_gauge_is_refused(value: object, shown: str) -> None:
    with pytest.raises(InvalidUpdate) as refusal:
        validation.number("viewers", value)
    assert str(refusal.value) == f"viewers: expected a finite number of at least 0, got {shown}"
    assert refusal.value.reason == Reason.NUMBER


@pytest.mark.parametrize("value", ["yes", 1, 0, None, "True"])
def test_only_true_and_false_are_recording_flags(value: object) -> None:
    assert validation.recording("recording", True) is True
    assert validation.recording("recording", False) is False
    with pytest.raises(InvalidUpdate) as refusal:
        validation.recording("recording", value)
    assert str(refusal.value) == f"recording: expected True or False, got {value!r}"
    assert refusal.value.reason == Reason.RECORDING


def test_details_become_json_text() -> None:
    assert validation.details("details", None, LIMITS) == "{}"
    assert (
        validation.details("details", {"ratio": 1.38, "who": ["é", None]}, LIMITS) == '{"ratio":1.38,"who":["é",null]}'
    )


def _nested(depth: int) -> dict[str, Any]:
    details: dict[str, Any] = {}
    for _ in range(depth):
        details = {"in": details}
    return details


def _circular() -> dict[str, Any]:
    details: dict[str, Any] = {}
    details["self"] = details
    return details


@pytest.mark.parametrize("value", [_nested(99), {"in": [_nested(97)] * 5}, {'"[': '[{"\\' * 200}, {"in": [[]] * 1000}])
def test_details_of_not_too_many_levels_are_kept(value: dict[str, Any]) -> None:
    assert json.loads(validation.details("details", value, LIMITS)) == value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"tags": {1}}, "a dict that JSON can hold (Object of type set is not JSON serializable), got {'tags': {1}}"),
        ({"ratio": math.nan}, "a dict that JSON can hold (Out of range float values are not JSON compliant"),
        ({"text": "\ud800"}, "a dict that JSON can hold ('utf-8' codec can't encode character"),
        ({(1, 2): 3}, "a dict that JSON can hold (keys must be str, int, float, bool or None, not tuple)"),
        (_circular(), "a dict that JSON can hold (Circular reference detected)"),
        (_nested(100), "a dict of at most 100 levels, got {'in': {'in': "),
        ({"in": [_nested(49), _nested(98)]}, "a dict of at most 100 levels, got {'in': [{"),
        (_nested(100_000), "a dict that JSON can hold (maximum recursion depth exceeded"),
        ({"text": "x" * 1_000_000}, "at most 4096 bytes as JSON (this has 1000011), got {'text': 'xxxxx"),
        ([1], "a dict, got [1]"),
        ("spike", "a dict, got 'spike'"),
    ],
    ids=["set", "nan", "surrogate", "key", "circular", "level", "levels", "deep", "megabyte", "list", "text"],
)
def test_details_that_json_cannot_hold_are_refused(value: object, expected: str) -> None:
    with pytest.raises(InvalidUpdate) as refusal:
        validation.details("details", value, LIMITS)
    assert str(refusal.value).startswith(f"details: expected {expected}")
    assert len(str(refusal.value)) < 300
    assert refusal.value.reason == Reason.DETAILS


@given(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(),
        st.binary(),
        st.lists(st.integers()),
        st.sets(st.text()),
        st.dictionaries(st.text(), st.floats()),
    )
)
def test_every_value_is_kept_or_refused_and_never_anything_else(value: object) -> None:
    checks: list[Callable[[], object]] = [
        lambda: validation.name("streamer", value, LIMITS),
        lambda: validation.number("viewers", value),
        lambda: validation.recording("recording", value),
        lambda: json.loads(validation.details("details", value, LIMITS)),
    ]
    for check in checks:
        with contextlib.suppress(InvalidUpdate):
            assert check() == ({} if value is None else value)


def test_a_refusal_is_a_value_error_and_one_of_ours() -> None:
    assert issubclass(InvalidUpdate, ValueError)
    assert issubclass(InvalidUpdate, ExporterError)


@pytest.mark.parametrize("field", ["streamers", "trigger_types", "name_length", "details_bytes"])
@pytest.mark.parametrize("value", [0, -1, 1.5, True, "9"])
def test_limits_are_whole_numbers_of_at_least_1(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"^{field}: expected a whole number of at least 1, got {value!r}$"):
        Limits(**{field: value})  # type: ignore[arg-type]
