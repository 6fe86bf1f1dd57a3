from datetime import UTC, datetime, timedelta

from gateway.cli.progress import Happening, Progress

START = datetime(2026, 9, 1, 12, 0, tzinfo=UTC)


def lines_of(*events):
    progress = Progress()
    told = []
    for seconds, type_, data in events:
        told += progress.lines(Happening(type_, START + timedelta(seconds=seconds), data))
    return told


def test_a_finished_block_is_told_with_the_time_it_took():
    _, done = lines_of(
        (0, "block.started", {"block_path": "sign_in", "kind": "login"}),
        (1.5, "block.finished", {"block_path": "sign_in", "kind": "login", "state": "completed"}),
    )
    assert (done.mark, done.text, done.took_s) == ("done", "sign_in (login)", 1.5)


def test_a_failed_block_says_why():
    failure = {"reason": "TARGET_NOT_FOUND", "message": "found nothing to click"}
    _, line = lines_of(
        (0, "block.started", {"block_path": "a"}),
        (1, "block.finished", {"block_path": "a", "state": "failed", "failure": failure}),
    )
    assert line.mark == "failed"
    assert "found nothing to click" in line.text


def test_a_block_in_a_loop_is_indented():
    (line,) = lines_of((0, "block.started", {"block_path": "orders.2.open", "kind": "action"}))
    assert line.depth == 2


def test_a_wait_for_a_pushed_code_names_where_it_is_sent_to():
    data = {"challenge_id": "chal_1", "identifier": "dana@example.com"}
    (line,) = lines_of((0, "totp.required", data))
    assert "dana@example.com" in line.text
    assert "chal_1" in line.text


def test_what_nobody_needs_to_read_is_not_told():
    assert lines_of((0, "run.queued", {}), (0, "run.started", {})) == []


def test_an_undone_step_is_told():
    (line,) = lines_of((0, "saga.step_compensated", {"step": "acquire_browser_session"}))
    assert "acquire_browser_session" in line.text
