"""Small words of libs: errors, ids, secrets, context, retry policy."""

from __future__ import annotations

import grpc
import pytest

from libs import context, errors, ids, resilience
from libs.resilience import Category, Strategy
from libs.secrets import Secret, Vault


@pytest.mark.parametrize(
    "error",
    [
        errors.Invalid("a.b", "is wrong"),
        errors.Invalid.many([("a", "x"), ("b", "y")]),
        errors.NotFound("run", "run_1"),
        errors.Conflict("taken", reason="IDEMPOTENCY_CONFLICT", metadata={"run_id": "run_1"}),
        errors.Exhausted("full", retry_after_s=1.5),
        errors.Unavailable("down", retry_after_s=0.25),
        errors.FailedPrecondition("ended", reason="RUN_FINISHED"),
        errors.PermissionDenied("no"),
        errors.DeadlineExceeded("late"),
    ],
)
def test_an_error_crosses_the_wire_as_itself(error: errors.PodiumError) -> None:
    back = errors.from_status(errors.to_status(error))
    assert type(back) is type(error)
    for name in ("message", "reason", "violations", "retry_after_s", "metadata"):
        assert getattr(back, name) == getattr(error, name)


class _Reset(Exception):
    """What gRPC raises when the other end of a stream dies."""

    def __init__(self, details: str) -> None:
        self._details = details

    def trailing_metadata(self):
        return ()

    def code(self):
        return grpc.StatusCode.INTERNAL

    def details(self):
        return self._details


def test_a_stream_whose_end_died_is_an_outage_and_no_bug() -> None:
    broken = _Reset("Stream removed (RST_STREAM (Received RST_STREAM with error code 2))")
    assert type(errors.from_rpc(broken)) is errors.Unavailable  # type: ignore[arg-type]
    assert type(errors.from_rpc(_Reset("broken"))) is errors.Internal  # type: ignore[arg-type]


def test_a_long_list_of_violations_fits_the_trailers() -> None:
    error = errors.Invalid.many([(f"field[{i}]", "x" * 400) for i in range(500)])
    status = errors.to_status(error)
    assert status.ByteSize() < 8192
    assert errors.from_status(status).violations[0][0] == "field[0]"


def test_ids_sort_by_time_and_are_checked() -> None:
    made = [ids.new("run") for _ in range(1000)]
    assert made == sorted(made)
    assert len(set(made)) == 1000
    assert ids.check("run_id", "run", made[0]) == made[0]
    for wrong in ("", "run_", "wf_" + made[0][4:], made[0] + "x", "run_" + "u" * 26, "'; drop"):
        with pytest.raises(errors.Invalid) as invalid:
            ids.check("run_id", "run", wrong)
        assert invalid.value.violations[0][0] == "run_id"


def test_a_secret_never_prints_itself() -> None:
    secret = Secret("hunter2")
    assert "hunter2" not in f"{secret} {secret!r} {[secret]}"
    assert secret.reveal() == "hunter2"


def test_a_sealed_value_opens_only_in_its_place() -> None:
    vault = Vault.from_text(Vault.fresh_text())
    sealed = vault.seal(b"seed", b"org|credentials|1|seed")
    assert vault.open(sealed, b"org|credentials|1|seed") == b"seed"
    assert sealed != vault.seal(b"seed", b"org|credentials|1|seed")
    for aad, value in (
        (b"org|credentials|2|seed", sealed),
        (b"org|credentials|1|seed", sealed[:-1] + bytes([sealed[-1] ^ 1])),
        (b"org|credentials|1|seed", b""),
    ):
        with pytest.raises(errors.Internal):
            vault.open(value, aad)


def test_keys_rotate() -> None:
    first = Vault({1: b"a" * 32})
    both = Vault({1: b"a" * 32, 2: b"b" * 32})
    old = first.seal(b"x", b"")
    assert both.open(old, b"") == b"x"
    assert both.seal(b"x", b"")[0] == 2


def test_context_travels_as_ascii_metadata() -> None:
    with context.bind(organization_id="org_a", run_id="run_1", request_id="req_1"):
        carried = dict(context.inject())
    assert context.extract(carried, "run") == context.Context(
        request_id="req_1", organization_id="org_a", caller="run", run_id="run_1"
    )
    forged = context.extract({"podium-organization": "a\nb", "podium-run-id": "x" * 500}, "run")
    assert (forged.organization_id, forged.run_id) == ("", "")
    assert forged.request_id


QUICK = {category: Strategy(s.retries, 0.001) for category, s in resilience.STRATEGIES.items()}


@pytest.mark.parametrize(
    ("error", "category", "attempts"),
    [
        (errors.Unavailable("x"), Category.TRANSIENT, 4),
        (errors.Exhausted("x"), Category.RATE_LIMIT, 6),
        (ConnectionRefusedError(), Category.NETWORK, 3),
        (errors.PermissionDenied("x"), Category.CONFIGURATION, 1),
        (errors.Invalid("a", "x"), Category.BUSINESS, 1),
        (errors.Internal("x"), Category.SYSTEM, 1),
        (ValueError(), Category.SYSTEM, 1),
    ],
)
async def test_each_class_of_error_has_its_strategy(
    error: Exception, category: Category, attempts: int
) -> None:
    calls = 0

    async def work() -> None:
        nonlocal calls
        calls += 1
        raise error

    assert resilience.classify(error) is category
    with pytest.raises(type(error)):
        await resilience.retrying(work, strategies=QUICK)
    assert calls == attempts


def test_strategies_are_those_of_the_architecture() -> None:
    transient = resilience.STRATEGIES[Category.TRANSIENT]
    assert [transient.delay_s(n) for n in (1, 2, 3, 20)] == [1, 2, 4, 60]
    assert [resilience.STRATEGIES[Category.RATE_LIMIT].delay_s(n) for n in (1, 2, 3)] == [1, 2, 3]
