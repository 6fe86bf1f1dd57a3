"""What a message says to a person: e-mail and HTML turned into plain lines of text.

Nothing here looks for codes. Markup, styles, scripts, addresses of links and attachments are
dropped because they are full of digits nobody was meant to read.
"""

from __future__ import annotations

import re
import unicodedata
from email import policy
from email.errors import MessageError
from email.message import EmailMessage
from email.parser import BytesParser
from html.parser import HTMLParser
from urllib.parse import parse_qsl

MAX_CHARS = 512 * 1024
CELL = "\t"
_HEADER = re.compile(r"\A(?:From [^\n]*\n)?[A-Za-z][A-Za-z0-9-]*:[ \t]*[^\n]*\n")
_MAIL_HEADERS = re.compile(
    r"^(?:From|To|Subject|Date|Received|Return-Path|Delivered-To|Message-ID|MIME-Version"
    r"|Content-Type|Content-Transfer-Encoding|DKIM-Signature|Reply-To|X-[A-Za-z-]+):",
    re.IGNORECASE | re.MULTILINE,
)
_MARKUP = re.compile(
    r"<!doctype html|<(?:html|head|body|div|table|tr|td|p|br|span|strong|b|h[1-6]|style|a|ul|font"
    r"|center|em|i)(?:\s[^<>]*)?/?>",
    re.IGNORECASE,
)
_FORM = re.compile(r"[A-Za-z]\w*=[^&\s]*(?:&[A-Za-z]\w*=[^&\s]*)+")
_FORM_FIELDS = ("body", "text", "message", "content", "msg", "sms")
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u20e3\ufe00-\ufe0f\ufeff]"
)
_DASHES = re.compile("[\u2010-\u2015\u2212\u2043\ufe58\ufe63\uff0d]")
_REPLY = re.compile(
    r"^(?:-{2,} ?(?:Original Message|Ursprüngliche Nachricht|Message d'origine"
    r"|Mensaje original) ?-{2,}"
    r"|On [^\n]{5,120}\n?[^\n]{0,60} wrote:|Am [^\n]{5,120} schrieb [^\n]{0,80}:"
    r"|Le [^\n]{5,120} a écrit ?:|El [^\n]{5,120} escribió:)",
    re.MULTILINE,
)
_HIDDEN = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0(?:px|pt|em)?\s*(?:;|!|$)"
    r"|opacity\s*:\s*0\s*(?:;|!|$)|max-height\s*:\s*0",
    re.IGNORECASE,
)


def texts(content: str) -> list[str]:
    """The message as plain text, once for each way it may be read, the plainest first."""
    content = _opened(content)
    found = _mail_texts(content) if _is_mail(content) else [_plain(content)]
    unique = dict.fromkeys(text for text in map(normalise, found) if text)
    return list(unique)


def bodies(content: str) -> list[tuple[bool, str]]:
    """The bodies as they were sent, each with whether it is HTML; for who looks for links."""
    content = _opened(content)
    if not _is_mail(content):
        return [(_looks_like_markup(content), content)]
    return [(_is_markup(part), _body(part)) for part in _parts(_parsed(content))]


def headers(content: str) -> EmailMessage | None:
    """The headers when the content is a whole e-mail."""
    content = _opened(content)
    return _parsed(content) if _is_mail(content) else None


def _opened(content: str) -> str:
    """The content with plain line ends, taken out of the form of an SMS relay."""
    content = content[:MAX_CHARS].replace("\r\n", "\n").replace("\r", "\n")
    content = content.lstrip("\ufeff\n")
    return _form_text(content.strip()) if _FORM.fullmatch(content.strip()) else content


def without_replies(text: str) -> str:
    """The text above the first quoted message, without quoted lines."""
    cut = _REPLY.search(text)
    if cut:
        text = text[: cut.start()]
    return "\n".join(line for line in text.split("\n") if not line.lstrip().startswith(">"))


def normalise(text: str) -> str:
    """One spelling for each character: NFKC, ASCII digits, plain dashes, nothing invisible."""
    # NFKC would make "482913，15分" a number with a decimal part.
    text = text.replace("\uff0c", ", ").replace("\u060c", ", ")
    text = _INVISIBLE.sub("", unicodedata.normalize("NFKC", _INVISIBLE.sub("", text)))
    text = _DASHES.sub("-", text)
    folded = "".join(_ascii_digit(c) for c in text)
    lines = (re.sub(r"[^\S\n\t]+", " ", line).strip(" ") for line in folded.split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _ascii_digit(character: str) -> str:
    if character.isascii() or not character.isdigit():
        return character
    return str(unicodedata.digit(character))


def _is_mail(content: str) -> bool:
    if not _HEADER.match(content):
        return False
    head = content.split("\n\n", 1)[0]
    return len(_MAIL_HEADERS.findall(head)) >= 2


def _form_text(content: str) -> str:
    """The message in a form as SMS relays post it (Body=Your+code+is+482913&From=…)."""
    fields = {name.lower(): value for name, value in parse_qsl(content)}
    return next((fields[name] for name in _FORM_FIELDS if fields.get(name)), content)


def _parsed(content: str) -> EmailMessage:
    return BytesParser(policy=policy.default).parsebytes(content.encode("utf-8", "replace"))


def _parts(mail: EmailMessage) -> list[EmailMessage]:
    """The parts that a person reads, attached mails included."""
    return [
        part
        for part in mail.walk()
        if not part.is_multipart()
        and part.get_content_disposition() != "attachment"
        and part.get_content_type() in ("text/plain", "text/html")
    ]


def _is_markup(part: EmailMessage) -> bool:
    return part.get_content_type() == "text/html" or _looks_like_markup(_body(part))


def _mail_texts(content: str) -> list[str]:
    mail = _parsed(content)
    subject = str(mail.get("Subject", ""))
    plain: list[str] = []
    rich: list[str] = []
    for part in _parts(mail):
        body = _body(part)
        if _is_markup(part):
            rich.append(html_text(body))
        else:
            plain.append(body)
    bodies = ["\n\n".join(parts) for parts in (plain, rich) if any(p.strip() for p in parts)]
    return [f"{subject}\n\n{body}" for body in bodies] or [subject]


def _body(part: EmailMessage) -> str:
    raw = part.get_payload(decode=True)
    if not isinstance(raw, bytes):
        return ""
    # The transport may have turned the mail into UTF-8 already while the header kept its old word.
    declared = part.get_content_charset() or "latin-1"
    # These are valid UTF-8 as they stand, with the letters hidden behind escapes.
    first = declared if declared.startswith(("iso-2022", "utf-7", "utf-16", "hz")) else "utf-8"
    for charset in (first, declared, "latin-1"):
        try:
            return raw.decode(charset).replace("\r\n", "\n")
        except (UnicodeDecodeError, LookupError, MessageError):
            continue
    return ""


def _plain(content: str) -> str:
    return html_text(content) if _looks_like_markup(content) else content


def _looks_like_markup(text: str) -> bool:
    return _MARKUP.search(text) is not None


_SILENT = "style script head template svg noscript select textarea object del s strike"
_VOID = "area base br col embed hr img input link meta source track wbr"
_BLOCKS = """
    address article blockquote body br center dd div dl dt fieldset footer form h1 h2 h3 h4 h5 h6
    header hr html li main nav ol p pre section table tbody tfoot thead title tr ul
"""


class _Reader(HTMLParser):
    """Collects the visible text of a page: blocks on lines of their own, cells joined by tabs."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._quiet = frozenset(_SILENT.split())
        self._void = frozenset(_VOID.split())
        self._blocks = frozenset(_BLOCKS.split())
        self.out: list[str] = []
        self._open: list[tuple[str, bool]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in self._blocks:
            self.out.append("\n")
        elif tag in ("td", "th"):
            self.out.append(CELL)
        if tag in self._void:
            return
        if tag in ("body", "tr", "td", "th", "li", "p"):
            self._close_unclosed(tag)
        silent = tag in self._quiet or _is_hidden(attrs)
        self._open.append((tag, silent or self._silent()))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self._void:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._blocks:
            self.out.append("\n")
        names = [name for name, _ in self._open]
        if tag in names:
            del self._open[len(names) - 1 - names[::-1].index(tag) :]

    def handle_data(self, data: str) -> None:
        if not self._silent():
            self.out.append(re.sub(r"\s+", " ", data))

    def _silent(self) -> bool:
        return bool(self._open) and self._open[-1][1]

    def _close_unclosed(self, tag: str) -> None:
        """HTML lets these tags stay open; a second one ends the first."""
        if tag == "body":
            self._open = [pair for pair in self._open if pair[0] != "head"]
            self._open = [(name, False) for name, _ in self._open]
        elif self._open and self._open[-1][0] == tag:
            self._open.pop()


def _is_hidden(attrs: list[tuple[str, str | None]]) -> bool:
    return any(
        name == "hidden" or (name == "style" and _HIDDEN.search(value or "") is not None)
        for name, value in attrs
    )


def html_text(markup: str) -> str:
    """The visible text of an HTML document or fragment."""
    # A comment that never ends hides the rest in every mail client, and the parser is slow on many.
    last = markup.rfind("<!--")
    if last >= 0 and markup.find("-->", last) < 0:
        markup = markup[:last]
    reader = _Reader()
    reader.feed(markup)
    reader.close()
    joined = "".join(reader.out)
    joined = re.sub(r"[ \t]*\t[ \t]*", CELL, joined)
    return re.sub(r"[ \t]*\n[ \t]*", "\n", joined)
