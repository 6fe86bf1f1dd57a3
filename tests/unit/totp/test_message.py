"""The parser of codes against messages as they are really sent."""

import time
from email.message import EmailMessage
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from services.totp.mail import normalise
from services.totp.message import Verdict, read

MESSAGES = yaml.safe_load(Path(__file__).with_name("messages.yaml").read_text("utf-8"))
FOUND = [(message["text"], message["code"]) for message in MESSAGES["found"]]


@pytest.mark.parametrize(("content", "code"), FOUND)
def test_the_code_is_found(content: str, code: str) -> None:
    reading = read(content)
    assert (reading.verdict, reading.code) == (Verdict.FOUND, code)


@pytest.mark.parametrize("content", MESSAGES["none"])
def test_no_code_is_made_up(content: str) -> None:
    assert read(content).code == ""
    assert read(content).verdict is Verdict.NONE


@pytest.mark.parametrize("content", MESSAGES["unsure"])
def test_ties_and_guesses_are_unsure(content: str) -> None:
    reading = read(content)
    assert reading.verdict is Verdict.UNSURE
    assert reading.code == ""
    assert reading.candidates >= 1


def _mail(subject: str, text: str = "", html: str = "") -> EmailMessage:
    mail = EmailMessage()
    mail["From"] = "Acme <no-reply@acme.test>"
    mail["To"] = "jo+482@example.test"
    mail["Date"] = "Sun, 22 Nov 2026 10:31:07 +0000"
    mail["Message-ID"] = "<20261122103107.871234@mx.acme.test>"
    mail["Subject"] = subject
    mail.set_content(text)
    if html:
        mail.add_alternative(html, subtype="html")
    return mail


def test_a_whole_mail_in_quoted_printable() -> None:
    mail = _mail("Votre code de sécurité", "Bonjour José,\n\nVotre code de vérification : 482913\n")
    mail.replace_header("Content-Transfer-Encoding", "8bit")
    mail.set_content(mail.get_content(), cte="quoted-printable", charset="iso-8859-1")
    assert read(mail.as_string()).code == "482913"


def test_a_whole_mail_in_base64_with_crlf() -> None:
    mail = _mail("Anmeldung", "")
    mail.set_content("Ihr Sicherheitscode:\n\n482913\n\nGrüße", cte="base64")
    assert read(mail.as_string().replace("\n", "\r\n")).code == "482913"


def test_the_code_may_be_in_the_subject_only() -> None:
    assert read(_mail("482913 is your Acme code", "Welcome back!").as_string()).code == "482913"
    assert read(_mail("Ваш код: 482913", "Здравствуйте").as_string()).code == "482913"


def test_a_useless_plain_part_does_not_hide_the_html_part() -> None:
    html = (
        "<html><body><table><tr><td>Your sign-in code</td></tr>"
        "<tr><td style='font-size:30px'>482913</td></tr></table></body></html>"
    )
    mail = _mail("Sign in to Acme", "Your mail program cannot show this message.", html)
    assert read(mail.as_string()).code == "482913"


def test_attachments_and_quoted_mail_are_not_read() -> None:
    mail = _mail(
        "Your code", "Your code is 482913\n\nOn Fri, 20 Nov 2026 Jo wrote:\n> code 111111\n"
    )
    mail.add_attachment("Your code is 222222", filename="old.txt")
    assert read(mail.as_string()).code == "482913"


def test_a_forwarded_mail_is_read() -> None:
    text = (
        "---------- Forwarded message ---------\nFrom: Acme <a@acme.test>\n"
        "Date: Sun, Nov 22, 2026 at 10:31 AM\nSubject: Sign in\nTo: <jo@example.test>\n\n"
        "Your Acme verification code is 482913.\n"
    )
    assert read(_mail("Fwd: Sign in", text).as_string()).code == "482913"


def test_a_reading_never_shows_the_code() -> None:
    assert "482913" not in repr(read("Your code is 482913"))


@pytest.mark.parametrize(("first", "second"), [("٤٨٢", "482"), ("４８２", "482"), ("४८२", "482")])
def test_digits_of_other_scripts_are_folded(first: str, second: str) -> None:
    assert normalise(first) == second


@pytest.mark.parametrize(
    "nasty",
    [
        "<!--" * 16000,
        "<div><span" * 6000,
        "1-" * 32000,
        "1 " * 32000,
        "****" * 16000,
        "a@" * 32000,
        "1,000." * 10000,
        "code" * 16000,
        "<" * 64000,
        "\n" * 64000,
        "From: a\nTo: b\n" * 4000,
        "12:" * 20000,
        "A-" * 32000,
        "a." * 32000,
        "On " * 20000,
        "code 1234 " * 6500,
    ],
)
def test_a_hostile_message_costs_little(nasty: str) -> None:
    started = time.process_time()
    read(nasty)
    assert time.process_time() - started < 3


@given(st.text(max_size=400))
def test_any_text_is_read_without_failing(text: str) -> None:
    reading = read(text)
    assert (reading.verdict is Verdict.FOUND) == bool(reading.code)
    assert not reading.code or 4 <= len(reading.code) <= 10
