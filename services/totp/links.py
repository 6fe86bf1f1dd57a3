"""Finds the sign-in link of a message: the one link that signs in, confirms or activates.

A link is only ever given to a challenge that names its host, so that a message from a stranger
sends no browser anywhere. The link is taken letter by letter as it stands in the message.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urlsplit

from libs import errors
from libs.hosts import host_of, is_address, spelled
from services.totp import mail

MAX_LINKS = 200
MAX_HOSTS = 20
_SURE = 5
_MARGIN = 2
_URL = re.compile(r"https?://[^\s<>\"'`\u3000-\u303f\uff00-\uffef]+", re.IGNORECASE)
_TRAILING = ".,;:!?)]}>*_"
_PATH = re.compile(
    r"magic|log[-_]?in|sign[-_]?in|signon|verif|confirm|auth|activat|passwordless|one[-_]?time|otp"
    r"|token|validate|callback|bestaetig|bestatig|conferma|confirma|potvrd|onay",
    re.IGNORECASE,
)
_LONG_TOKEN = re.compile(r"[A-Za-z0-9_~.%-]{16,}")
_SAYS = re.compile(
    r"sign[ -]?in|log[ -]?in|verify|confirm|activate|magic link|continue to|complete"
    r"|anmeld|einlogg|bestätig|aktivier|connexion|connecter|confirmer|vérifier|activer"
    r"|iniciar sesión|acceder|confirmar|verificar|activar|entrar|accedi|conferma|verifica|attiva"
    r"|inloggen|bevestig|activeer|zaloguj|potwierdź|aktywuj|přihlásit|potvrdit|ověřit|prihlásiť"
    r"|bejelentkez|megerősít|autentific|confirmă|войти|вход|подтверд|активир|увійти|підтвердити"
    r"|giriş yap|doğrula|onayla|logga in|bekräfta|logg inn|bekreft|log ind|bekræft|kirjaudu"
    r"|vahvista"
    r"|σύνδεση|επιβεβα|تسجيل الدخول|تأكيد|تفعيل|تحقق|התחבר|אישור|אימות|ورود|تایید"
    r"|लॉग इन|साइन इन|सत्यापित|登录|登入|验证|驗證|确认|確認|激活|ログイン|サインイン|認証|有効"
    r"|로그인|인증|확인|เข้าสู่ระบบ|ยืนยัน|đăng nhập|xác nhận|xác minh|masuk|verifikasi|konfirmasi",
    re.IGNORECASE,
)
_NOT_IT = re.compile(
    r"unsubscribe|opt[-_ ]?out|abmelden|désabonner|desabonner|darse de baja|preferences|settings"
    r"|privacy|datenschutz|terms|agb|imprint|impressum|help|support|faq|contact|kontakt|report"
    r"|deny|not[-_ ]?you|didn.?t|did[-_ ]not|wasn.?t|secure[-_ ]your|nicht[-_ ]sie|revoke|cancel"
    r"|facebook|twitter|instagram|linkedin|youtube|tiktok|apps\.apple|play\.google|app[-_ ]?store"
    r"|view[-_ ](?:in|online)|browser|\.(?:png|gif|jpe?g|svg|css|ico|woff2?)(?:\?|$)|pixel|/open\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Link:
    """A link that signs in, and the host that an allow-list is asked about."""

    url: str = field(repr=False)
    host: str


def sign_in_link(content: str) -> Link | None:
    """The one link of this message that signs in; None when there is none or more than one."""
    scores: dict[str, int] = {}
    for url, words in _links(content):
        if host_of(url):
            scores[url] = max(scores.get(url, -99), _score(url, words))
    ranked = sorted(scores.items(), key=lambda pair: -pair[1])
    if not ranked or ranked[0][1] < _SURE:
        return None
    if len(ranked) > 1 and ranked[0][1] - ranked[1][1] < _MARGIN:
        return None
    return Link(ranked[0][0], host_of(ranked[0][0]))


def checked_hosts(field_path: str, hosts: list[str]) -> list[str]:
    """An allow-list as it is compared, or Invalid."""
    if len(hosts) > MAX_HOSTS:
        raise errors.Invalid(field_path, f"must name at most {MAX_HOSTS} hosts")
    checked: list[str] = []
    for position, text in enumerate(hosts):
        try:
            host = spelled(text.strip())
        except UnicodeError:
            host = ""
        whole = is_address(host) or host == "localhost" or "." in host
        if not whole or re.search(r"[^a-z0-9.:-]", host) or ("." in host and ":" in host):
            raise errors.Invalid(
                f"{field_path}[{position}]", 'must be a host such as "acme.example"'
            )
        checked.append(host)
    return checked


def _score(url: str, words: str) -> int:
    parts = urlsplit(url)
    place = f"{parts.path}?{parts.query}#{parts.fragment}"
    score = 3 if _PATH.search(place) else 0
    score += 2 if any(_is_minted(token) for token in _LONG_TOKEN.findall(place)) else 0
    score += 4 if _SAYS.search(words) else 0
    return score - (10 if _NOT_IT.search(f"{place} {words} {parts.hostname}") else 0)


def _is_minted(token: str) -> bool:
    return any(c.isdigit() for c in token) and any(c.isalpha() for c in token)


def _links(content: str) -> list[tuple[str, str]]:
    """Each link with the words that stand on it, or before it."""
    found: list[tuple[str, str]] = []
    for is_markup, body in mail.bodies(content):
        if is_markup:
            reader = _Anchors()
            reader.feed(body)
            reader.close()
            found += [(url, words) for url, words in reader.found if _URL.match(url)]
        else:
            found += [_in_text(body, match) for match in _URL.finditer(body)]
        if len(found) > MAX_LINKS:
            return []
    return found


def _in_text(body: str, match: re.Match[str]) -> tuple[str, str]:
    before = body[max(0, match.start() - 120) : match.start()].rstrip(" \n\t:<(")
    # The sentence or line that leads to the link, not what was said of the link before it.
    words = re.split(r"https?://\S+|\n\s*\n|[.!?。！？]\s", before)[-1]
    return html.unescape(match.group().rstrip(_TRAILING)), words


class _Anchors(HTMLParser):
    """Collects the links of a page with the words on them."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, str]] = []
        self._url = ""
        self._words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self._finish()
            self._url = (dict(attrs).get("href") or "").strip()
        elif tag == "img" and self._url:
            self._words.append(dict(attrs).get("alt") or "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "a":
            self._finish()

    def handle_data(self, data: str) -> None:
        if self._url:
            self._words.append(data)

    def close(self) -> None:
        super().close()
        self._finish()

    def _finish(self) -> None:
        if self._url:
            self.found.append((self._url, " ".join(self._words).strip()))
        self._url, self._words = "", []
