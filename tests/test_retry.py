"""retries: which failures are worth another attempt, and after how long."""

from datetime import UTC, datetime
from email.utils import formatdate
from time import asctime, gmtime

import pytest
from hypothesis import given
from hypothesis import strategies as st

import msgapi
from msgapi import ApiError, Meta, NotSent, Retry, ServerFault, Throttled, Unanswered, Unavailable
from msgapi.results import NO_FREE_CONNECTION, TOO_MANY_OPEN_FILES
from msgapi.retry import Budget, parse_http_date, parse_retry_after

DAY = 86_400.0
LIMITED = Throttled(code="rate_limit_exceeded")
NEVER: list[ApiError] = [
    msgapi.Invalid(),
    msgapi.Unauthorized(),
    msgapi.InsufficientBalance(),
    msgapi.Forbidden(),
    msgapi.NotFound(),
    msgapi.Conflict(),
    msgapi.Unprocessable(),
    msgapi.Unexpected(),
    msgapi.Unexpected(meta=Meta(status=405)),
    msgapi.Unreadable(),
    msgapi.Unreadable(meta=Meta(status=200)),
    Throttled(code="newsletter_daily_cap", retry_after=1),
]
ALWAYS: list[ApiError] = [NotSent("refused"), LIMITED, Throttled(code="http_429")]
IF_REPEATABLE: list[ApiError] = [
    ServerFault(),
    Unavailable(),
    Unanswered("reset"),
    *(msgapi.Unexpected(meta=Meta(status=status)) for status in (408, 421, 425)),
    *(msgapi.Unexpected(meta=Meta(status=status), from_service=False) for status in (302, 405, 408, 421, 425)),
    msgapi.Unauthorized(meta=Meta(status=401), from_service=False),
    msgapi.NotFound(meta=Meta(status=404), from_service=False),
    msgapi.Unreadable(meta=Meta(status=200), from_service=False),
    ServerFault(meta=Meta(status=502), from_service=False),
]


def wait(error: ApiError, *, attempt: int = 1, repeatable: bool = True, chance: float = 0.5) -> float | None:
    return Retry(attempts=3).wait(error, attempt=attempt, repeatable=repeatable, chance=chance)


@pytest.mark.parametrize("error", NEVER)
def test_what_repeating_cannot_mend_is_not_repeated(error: ApiError) -> None:
    assert wait(error) is None


@pytest.mark.parametrize("error", ALWAYS)
@pytest.mark.parametrize("repeatable", [True, False])
def test_what_surely_did_not_happen_is_repeated(error: ApiError, repeatable: bool) -> None:
    assert wait(error, repeatable=repeatable) == pytest.approx(0.1)


@pytest.mark.parametrize("error", IF_REPEATABLE)
def test_what_may_have_happened_is_repeated_only_if_it_can_do_no_harm(error: ApiError) -> None:
    assert wait(error, repeatable=True) == pytest.approx(0.1)
    assert wait(error, repeatable=False) is None


@pytest.mark.parametrize("error", [*ALWAYS, *IF_REPEATABLE])
def test_the_last_attempt_is_the_last(error: ApiError) -> None:
    assert wait(error, attempt=2) is not None
    assert wait(error, attempt=3) is None
    assert Retry(attempts=1).wait(error, attempt=1, repeatable=True, chance=0) is None


@pytest.mark.parametrize(("attempt", "longest"), [(1, 0.2), (2, 0.4), (3, 0.8), (6, 6.4), (7, 10.0), (5000, 10.0)])
def test_the_backoff_doubles_up_to_its_longest(attempt: int, longest: float) -> None:
    retry = Retry(attempts=10_000)
    assert retry.wait(ServerFault(), attempt=attempt, repeatable=True, chance=1) == pytest.approx(longest)
    assert retry.wait(ServerFault(), attempt=attempt, repeatable=True, chance=0) == 0


@given(
    asked=st.floats(0, 200),
    chance=st.floats(0, 1),
    attempt=st.integers(1, 9),
    kind=st.sampled_from([Throttled, ServerFault, Unavailable]),
)
def test_a_retry_after_is_waited_for_in_full_or_not_at_all(
    asked: float, chance: float, attempt: int, kind: type[Throttled]
) -> None:
    error = kind(code="rate_limit_exceeded", retry_after=asked)
    found = Retry(attempts=10).wait(error, attempt=attempt, repeatable=True, chance=chance)
    if asked > 60:
        assert found is None
    else:
        assert found is not None
        assert asked <= found <= 60


def test_a_retry_after_of_more_than_a_day_is_never_waited_for_and_delays_others_by_the_longest_wait() -> None:
    retry = Retry(longest_wait=7 * DAY)
    day, more = (Throttled(code="rate_limit_exceeded", retry_after=seconds) for seconds in (DAY, DAY + 1))
    assert retry.wait(day, attempt=1, repeatable=True, chance=0) == DAY
    assert retry.wait(more, attempt=1, repeatable=True, chance=0) is None
    assert (retry.delay_of_others(day), retry.delay_of_others(more)) == (DAY, 7 * DAY)
    assert Retry().delay_of_others(Throttled()) is None


NOW = datetime(2027, 1, 15, 8, 0, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Fri, 15 Jan 2027 08:00:00 GMT", NOW),
        ("Friday, 15-Jan-27 08:00:00 GMT", NOW),
        ("Fri Jan 15 08:00:00 2027", NOW),
        ("Fri Jan  1 08:00:00 2027", NOW - 14 * DAY),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 784111777.0),
        ("Thursday, 01-Jan-70 00:00:00 GMT", 0.0),
        ("Fri, 15 Jan 2027 07:59:60 GMT", NOW),
        ("Fri, 15 Jan 2027 08:00:00", None),
        ("Fri, 15 Jan 2027 08:00:00 UTC", None),
        ("Fri, 31 Feb 2027 08:00:00 GMT", None),
        ("Fri, 15 Xyz 2027 08:00:00 GMT", None),
        ("Fri, 15 Jan 0000 08:00:00 GMT", None),
        ("Fri, 15 Jan 2027 25:00:00 GMT", None),
        ("15", None),
        ("", None),
    ],
)
def test_all_three_forms_of_a_date_in_http_are_read(text: str, expected: float | None) -> None:
    assert parse_http_date(text) == expected


@given(seconds=st.integers(0, 4_102_444_799))
def test_a_date_that_was_written_is_read(seconds: int) -> None:
    assert parse_http_date(formatdate(seconds, usegmt=True)) == seconds
    assert parse_http_date(asctime(gmtime(seconds))) == seconds
    late = gmtime(seconds).tm_year >= 2070
    text = datetime.fromtimestamp(seconds, UTC).strftime("%A, %d-%b-%y %H:%M:%S GMT")
    assert (parse_http_date(text) == seconds) is not late


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3, 3.0),
        (0.25, 0.25),
        (-4, 0.0),
        (10**400, 1e15),
        (float("inf"), 1e15),
        (float("nan"), None),
        (True, None),
        (None, None),
        ([3], None),
        ("3", 3.0),
        (" 3 ", 3.0),
        ("3.5", 3.5),
        ("3s", 3.0),
        ("3 S", 3.0),
        ("2m", 120.0),
        ("2h", 7200.0),
        ("1.5d", 129_600.0),
        ("9" * 400, 1e15),
        ("-1", None),
        ("1e9", None),
        ("3s 2m", None),
        ("3ms", 0.003),
        ("3 sec", 3.0),
        ("3 Seconds", 3.0),
        ("2 min", 120.0),
        ("5minutes", 300.0),
        ("1 hour", 3600.0),
        ("2hrs", 7200.0),
        ("1 day", 86_400.0),
        ("1m30s", 90.0),
        ("1h0m0.5s", 3600.5),
        ("30s1m", None),
        ("3s3s", None),
        ("3secular", None),
        ("1m" + "0" * 70 + "s", None),
        ("9" * 40 + "h", 1e15),
        ("\u0663", None),
        ("soon", None),
        ("", None),
        ("Fri, 15 Jan 2027 08:00:30 GMT", 30.0),
        ("Friday, 15-Jan-27 08:00:30 GMT", 30.0),
        ("Fri Jan 15 08:00:30 2027", 30.0),
        ("Fri, 15 Jan 2027 07:00:30 GMT", 0.0),
        ("2027-01-15T08:00:30Z", 30.0),
        ("2027-01-15T09:00:30+01:00", 30.0),
        ("2027-01-15T08:00:30", None),
        ("fri, 15 jan 2027 08:00:30 gmt", 30.0),
        ("Fri, 15 Jan 2027 08:00:30 UTC", 30.0),
        ("Fri, 15 Jan 2027 09:00:30 +0100", 30.0),
        ("Fri, 99 Jan 2027 08:00:30 UTC", None),
        ("Fri, 15 Nan 2027 08:00:30 UTC", None),
        ("Fri, 15 Jan 2027 08:00:30", None),
    ],
)
def test_a_retry_after_is_read_in_every_form_in_which_it_can_be_given(value: object, expected: float | None) -> None:
    assert parse_retry_after(value, lambda: NOW) == expected


@given(value=st.text() | st.floats() | st.integers() | st.none() | st.dictionaries(st.text(), st.integers()))
def test_no_retry_after_raises_or_is_negative(value: object) -> None:
    seconds = parse_retry_after(value, lambda: NOW)
    assert seconds is None or 0 <= seconds <= 1e15


@pytest.mark.parametrize(
    "error",
    [
        msgapi.Unexpected(meta=Meta(status=425, retry_after=7)),
        msgapi.Forbidden(meta=Meta(status=403, retry_after=7), from_service=False),
        msgapi.Unreadable(meta=Meta(status=200, retry_after=7), from_service=False),
        Unavailable(retry_after=3, meta=Meta(status=503, retry_after=7)),
        Unavailable(retry_after=7, meta=Meta(status=503, retry_after=3)),
    ],
    ids=lambda error: type(error).__name__,
)
def test_the_wait_in_the_header_of_any_repeated_answer_is_never_shortened(error: ApiError) -> None:
    assert wait(error) == pytest.approx(7.1)
    assert Retry(longest_wait=6).wait(error, attempt=1, repeatable=True, chance=0) is None


def test_a_backoff_beyond_the_longest_wait_is_not_begun() -> None:
    assert Retry(base=4, longest_wait=1).wait(NotSent("x"), attempt=1, repeatable=True, chance=1) is None


@pytest.mark.parametrize(
    "wrong",
    [{"attempts": 0}, {"base": 0}, {"longest_backoff": 0}, {"longest_wait": -1}, {"budget": -1}, {"refill": -1}],
)
def test_a_policy_that_makes_no_sense_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Retry(**wrong)


def test_an_outage_spends_the_budget_and_successes_fill_it_again() -> None:
    budget = Budget(Retry(budget=2, refill=0.5))
    assert [budget.spend(ServerFault()) for _ in range(3)] == [True, True, False]
    budget.earn()
    assert not budget.spend(ServerFault())
    budget.earn()
    assert budget.spend(ServerFault())
    for _ in range(100):
        budget.earn()
    assert budget.left == 2


def test_waiting_for_the_rate_limit_costs_nothing_of_the_budget() -> None:
    assert Budget(Retry(budget=0)).spend(LIMITED)


@given(successes=st.lists(st.booleans(), max_size=400), refill=st.floats(0, 1))
def test_retries_never_exceed_the_budget_and_what_successes_paid_for(successes: list[bool], refill: float) -> None:
    budget, retries = Budget(Retry(budget=5, refill=refill)), 0
    for success in successes:
        if success:
            budget.earn()
        else:
            retries += budget.spend(Unavailable())
    assert retries <= 5 + refill * sum(successes) + 1e-6


@pytest.mark.parametrize("code", [NO_FREE_CONNECTION, TOO_MANY_OPEN_FILES])
def test_a_limit_of_this_process_costs_no_budget(code: str) -> None:
    budget = Budget(Retry(budget=1))
    assert budget.spend(NotSent("full", code=code))
    assert budget.left == 1
    assert budget.spend(NotSent("refused"))
    assert not budget.spend(NotSent("refused"))
    assert budget.spend(NotSent("full", code=code))
