"""Event types, the retry schedule, what answers mean, and lanes."""

from datetime import UTC, datetime, timedelta

import pytest

from libs import errors
from services.webhook import domain
from services.webhook.domain import Attempt, State, Verdict

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def failure(status: int = 500, wait_s: float = 0.0) -> Attempt:
    return Attempt(NOW, http_status=status, error_class="http_status", retry_after_s=wait_s)


@pytest.mark.parametrize(
    ("patterns", "kept"),
    [
        ([], ["*"]),
        (["*"], ["*"]),
        (["run.finished", "run.finished"], ["run.finished"]),
        (["run.*", "totp.required", "alert.raised"], ["run.*", "totp.required", "alert.raised"]),
        (["webhook.*", "webhook.endpoint.*"], ["webhook.*", "webhook.endpoint.*"]),
    ],
)
def test_known_event_types_and_patterns_are_accepted(patterns: list[str], kept: list[str]) -> None:
    assert domain.check_event_types(patterns) == kept


@pytest.mark.parametrize(
    "pattern",
    ["", "run", "run.", ".", "run.finnished", "*.finished", "run.*.x", "r*", "nothing.*", "RUN.*",
     "webhook.delivered", "webhook.endpoint", "**", "x" * 10_000],
)  # fmt: skip
def test_an_unknown_event_type_is_named_by_its_place(pattern: str) -> None:
    with pytest.raises(errors.Invalid) as refusal:
        domain.check_event_types(["run.finished", pattern])
    (violation,) = refusal.value.violations
    assert violation[0] == "event_types[1]"
    assert len(violation[1]) < 250


def test_a_close_miss_is_told_what_was_meant() -> None:
    with pytest.raises(errors.Invalid, match=r"did you mean 'run\.finished'"):
        domain.check_event_types(["run.finnished"])


def test_too_many_event_types_are_refused() -> None:
    with pytest.raises(errors.Invalid):
        domain.check_event_types(["*"] * 51)


@pytest.mark.parametrize(
    ("pattern", "event_type", "wanted"),
    [
        ("*", "block.finished", True),
        ("run.*", "run.finished", True),
        ("run.*", "workflow_run.finished", False),
        ("run.*", "runs.finished", False),
        ("webhook.*", "webhook.endpoint.disabled", True),
        ("webhook.endpoint.*", "webhook.endpoint.disabled", True),
        ("run.finished", "run.finished", True),
        ("run.finished", "run.started", False),
    ],
)
def test_patterns_choose_events(pattern: str, event_type: str, wanted: bool) -> None:
    assert domain.wants([pattern], event_type) is wanted


def test_the_schedule_is_that_of_the_standard_and_ends_after_the_tenth_try() -> None:
    waits = [domain.verdict(failure(), tries, chance=0.0).delay_s for tries in range(1, 10)]
    hours = 3600
    assert waits == [5, 300, 1800] + [n * hours for n in (2, 5, 10, 14, 20, 24)]
    assert domain.verdict(failure(), 10, chance=0.0) == Verdict(State.DEAD)


@pytest.mark.parametrize("tries", range(1, 10))
def test_jitter_only_ever_adds(tries: int) -> None:
    exact = domain.verdict(failure(), tries, chance=0.0).delay_s
    latest = domain.verdict(failure(), tries, chance=1.0).delay_s
    assert latest == pytest.approx(exact * 1.2)


def test_the_scale_shortens_the_schedule_but_not_what_the_receiver_asked_for() -> None:
    assert domain.verdict(failure(), 2, 0.0, scale=0.01).delay_s == 3
    assert domain.verdict(failure(wait_s=60), 2, 0.0, scale=0.01).delay_s == 60
    assert domain.verdict(failure(wait_s=60), 2, 0.0).delay_s == 300


def test_success_and_gone_end_a_delivery_at_once() -> None:
    assert domain.verdict(Attempt(NOW, http_status=204), 10, 0.5) == Verdict(State.DELIVERED)
    gone = domain.verdict(failure(410), 1, 0.5)
    assert gone == Verdict(State.DEAD, endpoint_gone=True)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, 0),
        ("", 0),
        ("120", 120),
        (" 120 ", 120),
        ("99999999999999999999", 36000),
        ("-5", 0),
        ("1.5", 0),
        ("٣", 0),
        ("soon", 0),
        ("Sun, 22 Nov 2026 12:02:00 GMT", 120),
        ("Sun, 22 Nov 2026 11:00:00 GMT", 0),
        ("Sun, 22 Nov 2099 11:00:00 GMT", 36000),
        ("Sun, 99 Nov 2026 11:00:00 GMT", 0),
    ],
)
def test_retry_after_is_read_in_both_forms_and_bounded(header: str | None, seconds: float) -> None:
    assert domain.retry_after_s(header, NOW) == seconds


@pytest.mark.parametrize(
    ("status", "error_class", "wait_s"),
    [(200, "", 0), (299, "", 0), (302, "http_status", 0), (404, "http_status", 0),
     (429, "http_status", 7), (503, "http_status", 7), (500, "http_status", 0)],
)  # fmt: skip
def test_what_a_status_means(status: int, error_class: str, wait_s: float) -> None:
    judged = domain.judge_answer(status, {"Retry-After": "7"}, NOW)
    assert (judged[0], judged[2]) == (error_class, wait_s)


def test_a_redirect_says_that_it_is_not_followed() -> None:
    assert "not followed" in domain.judge_answer(308, {}, NOW)[1]


@pytest.mark.parametrize("body", [b"\xff" * 5000, "é".encode() * 3000, b"a\x00b", b""])
def test_an_excerpt_is_text_of_at_most_4_kib(body: bytes) -> None:
    text = domain.excerpt(body)
    assert len(text.encode()) <= 4096
    assert "\x00" not in text


def test_the_whole_schedule_lasts_about_three_days() -> None:
    assert timedelta(seconds=sum(domain.SCHEDULE_S)) == timedelta(hours=75, minutes=35, seconds=5)


def test_an_answer_can_give_the_message_up() -> None:
    judged = domain.judge_answer(400, {"webhook-delivery": "Abort-Message"}, NOW)
    assert judged[0] == domain.REFUSED_FOR_GOOD
    assert domain.verdict(Attempt(NOW, 5, 400, judged[0]), 1, 0.5) == Verdict(State.DEAD)
    assert domain.judge_answer(200, {"webhook-delivery": "abort-message"}, NOW)[0] == ""


@pytest.mark.parametrize(
    "name",
    ["webhook-id", "Webhook-Signature", "Host", "CONTENT-LENGTH", "content-type", "user-agent",
     "Transfer-Encoding", "connection", "proxy-authorization", "x-podium-run", "bad name", "",
     "x" * 101, "a:b", "é", "x\r\ny"],
)  # fmt: skip
def test_a_reserved_or_malformed_header_is_named(name: str) -> None:
    with pytest.raises(errors.Invalid) as refusal:
        domain.check_headers({"authorization": "Bearer x", name: "secret-value"})
    assert refusal.value.violations[0][0] == f"headers[{name[:100]!r}]"
    assert "secret-value" not in str(refusal.value.violations)


@pytest.mark.parametrize("value", ["", "a\r\nb", "a\x00", " a", "é", "x" * 4097])
def test_a_header_value_that_would_break_the_message_is_refused(value: str) -> None:
    with pytest.raises(errors.Invalid):
        domain.check_headers({"x-key": value})


def test_headers_are_kept_by_lower_case_names() -> None:
    kept = domain.check_headers({"Authorization": "Bearer abc", "X-Key": "a b"})
    assert kept == {"authorization": "Bearer abc", "x-key": "a b"}
    for wrong in ({"x-a": "1", "X-A": "2"}, {f"x-{n}": "1" for n in range(21)}):
        with pytest.raises(errors.Invalid):
            domain.check_headers(wrong)


@pytest.mark.parametrize(("rate", "in_flight"), [(-1, 0), (1001, 0), (float("nan"), 0), (0, 65)])
def test_a_pace_that_makes_no_sense_is_refused(rate: float, in_flight: int) -> None:
    with pytest.raises(errors.Invalid):
        domain.check_pace(rate, in_flight)


def test_the_overlap_of_secrets_is_bounded() -> None:
    assert domain.check_overlap(None) == timedelta(hours=24)
    assert domain.check_overlap(timedelta()) == timedelta()
    for wrong in (timedelta(seconds=-1), timedelta(days=8)):
        with pytest.raises(errors.Invalid):
            domain.check_overlap(wrong)
