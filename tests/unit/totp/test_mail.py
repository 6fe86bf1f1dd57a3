"""Whole e-mails: character sets, transfer encodings, parts, forms of SMS relays."""

import base64
import quopri
import time
from email.message import EmailMessage
from email.mime.message import MIMEMessage
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText

import pytest

from services.totp.message import read

CODE = "904182"
CHARSETS = {
    "iso-2022-jp": f"認証コード：{CODE}\n有効期限：10分",
    "shift_jis": f"確認コードは{CODE}です。",
    "gb18030": f"您的验证码是{CODE}，15分钟内有效。",
    "big5": f"您的驗證碼為{CODE}",
    "euc-kr": f"인증번호 [{CODE}]를 입력해 주세요",
    "windows-1251": f"Ваш код подтверждения: {CODE}",
    "koi8-r": f"Код: {CODE}",
    "windows-1256": f"رمز التحقق {CODE}",
    "iso-8859-9": f"Doğrulama kodunuz: {CODE}",
    "utf-16": f"Your code is {CODE}",
}
HEAD = "From: a@b.test\nTo: c@d.test\nSubject: Acme\nMIME-Version: 1.0\n"


def mail(subject: str, text: str = "") -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "a@b.test", "c@d.test", subject
    message.set_content(text)
    return message


@pytest.mark.parametrize("charset", CHARSETS)
@pytest.mark.parametrize("transfer", ["base64", "quoted-printable"])
def test_every_character_set(charset: str, transfer: str) -> None:
    raw = CHARSETS[charset].encode(charset)
    body = base64.encodebytes(raw) if transfer == "base64" else quopri.encodestring(raw)
    part = f"Content-Type: text/plain; charset={charset}\nContent-Transfer-Encoding: {transfer}\n\n"
    assert read(HEAD + part + body.decode()).code == CODE


def test_numbers_in_headers_are_not_read() -> None:
    head = (
        "Return-Path: <bounce-20261122-482999@mail.acme.test>\n"
        "Received: from mx1 (198.51.100.1) by mx (Postfix) id 8812039\n"
        "DKIM-Signature: v=1; a=rsa-sha256; b=MTIzNDU2\n 991827 884455\n"
        "Message-ID: <1795342800.4410@acme>\n"
    )
    subject = "Subject: =?UTF-8?Q?904182_ist_Ihr_Best=C3=A4tigungscode?=\n"
    html = (
        'Content-Type: multipart/alternative; boundary="b1"\n\n--b1\n'
        "Content-Type: text/plain; charset=utf-8\n\n\n--b1\n"
        "Content-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n"
        "<p>Vielen Dank f=C3=BCr Ihre Bestellung 20391827.</p>"
        '<img src=3D"https://t.example/o.gif?id=3D551827">\n--b1--\n'
    )
    assert read(head + subject + "From: a@acme.test\n" + html).code == CODE


def test_a_ticket_in_the_subject_is_not_the_code() -> None:
    assert read(mail("[Ticket 482913] Login code", f"Your code is {CODE}").as_string()).code == CODE


def test_a_mail_forwarded_as_an_attachment_is_read() -> None:
    outer = MIMEMultipart("mixed")
    outer["From"], outer["To"], outer["Subject"] = "a@b.test", "c@d.test", "Fwd: Your code"
    outer.attach(MIMEText("see attached", "plain"))
    outer.attach(MIMEMessage(mail("Your code", f"Your code is {CODE}")))
    assert read(outer.as_string()).code == CODE


def test_a_letter_in_each_cell_beside_pictures_and_attachments() -> None:
    message = mail("Security code", "Use a mail program that shows HTML. https://a.b/?c=991827")
    cells = "".join(f'<td style="border:1px solid">{digit}</td>' for digit in CODE)
    page = f"<html><head><title>991122</title></head><table><tr>{cells}</tr></table></html>"
    message.add_alternative(page, subtype="html")
    parts = message.get_payload()
    assert isinstance(parts, list)
    picture = parts[1]
    assert isinstance(picture, EmailMessage)
    picture.add_related(b"\x89PNG123456", "image", "png", cid="<1>")
    message.add_attachment("BEGIN:VCALENDAR\nUID:771829", subtype="calendar", filename="i.ics")
    assert read(message.as_string()).code == CODE


def test_only_headers() -> None:
    assert read(f"Subject: code {CODE}\nFrom: x@y.test\n\n").code == CODE


def test_the_form_of_an_sms_relay() -> None:
    form = f"ToCountry=US&SmsMessageSid=SM12345678&Body=Your+code+is+{CODE}&From=%2B14155550123"
    assert read(form).code == CODE


def test_a_large_newsletter_is_read_to_its_end() -> None:
    filler = '<div style="color:#fff">lorem ipsum 12</div>' * 4000
    began = time.process_time()
    assert read(f"<html>{filler}<p>Your verification code is</p><b>{CODE}</b></html>").code == CODE
    assert time.process_time() - began < 5
