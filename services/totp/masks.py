"""Blanks out of a text what is certainly no code: dates, amounts, phone numbers, links and the
like, so that the rest of the parser never has to reason about them.
"""

from __future__ import annotations

import re

BLANK = "\x00"
_CURRENCY = (
    r"(?:USD|EUR|GBP|INR|CNY|RMB|JPY|KRW|AUD|CAD|CHF|SEK|NOK|DKK|PLN|CZK|HUF|RON|BGN|TRY|RUB|UAH"
    r"|BRL|MXN|ARS|CLP|COP|PEN|ZAR|NGN|KES|EGP|SAR|AED|ILS|IRR|PKR|BDT|LKR|THB|VND|IDR|MYR|SGD|PHP"
    r"|HKD|TWD|NZD|Rs|Rp|RM|R\$|US\$|NT\$|S/)"
)
_MONTH = (
    r"(?:jan|feb|fév|mar|mär|maa|apr|avr|abr|may|mai|mei|maj|jun|juin|jul|juil|aug|août|ago|sep|okt"
    r"|oct|out|nov|dec|dez|déc|dic|янв|фев|мар|апр|мая|июн|июл|авг|сен|окт|ноя|дек)[^\W\d]{0,8}\.?"
)
_PHONE = (
    r"(?:tel|tél|tlf|tfno|tfn|telefon|telefono|teléfono|telefone|téléphone|phone|fax|mobile|call"
    r"|hotline|helpline|helpdesk|infolini[ae]|llam[ae]|llame al|appelez|appeler|ligue|chiama"
    r"|bel|ring|rückruf|puhelin|тел|телефон|звоните|звонок|电话|電話|致电|客服|โทร|هاتف|اتصل|للاستفسار"
    r"|טלפון|hubungi|gọi|전화|고객센터|문의)"
)
_MM = "(?:1[0-2]|0?[1-9])"
_DD = r"(?:3[01]|[12]\d|0?[1-9])"
_YY = r"(?:(?:19|20)\d\d|\d\d)"
_NOT_CODES = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"(?:https?|ftp|otpauth|mailto|tel|intent)[ \t]?:[^\s<>\"]+",
        r"<(?:https?:)?[^\s<>]*[/@][^\s<>]*>",
        r"www\.[^\s<>\"]+",
        r"[\w.+%-]{1,64}@(?:[\w-]{1,63}\.){1,5}[a-z]{2,12}",
        r"(?<![\w@.])(?:[a-z0-9-]{1,63}\.){1,4}"
        r"(?:com|org|net|io|app|dev|co|me|ly|cn|de|uk|in)/[^\s<>]+",
        r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b",
        r"(?-i:\b[A-Z]{2}\d{2} ?(?:[A-Z0-9]{4} ?){2,7}[A-Z0-9]{1,4}\b)",
        r"\b(?:[0-9a-f]{1,4}:){3,7}:?[0-9a-f]{1,4}\b",
        r"(?<![\w.])v?\d+(?:\.\d+){2,}(?![\w])",
        # Dates and times.
        rf"(?<!\d)(?:19|20)\d\d[-/.]{_MM}[-/.]{_DD}(?!\d)",
        rf"(?<!\d){_DD}[-/.]{_MM}[-/.]{_YY}(?![\d-])",
        rf"(?<!\d){_MM}[-/.]{_DD}[-/.]{_YY}(?![\d-])",
        rf"(?<!\d)\d{{1,2}}(?:st|nd|rd|th|\.|er|º)?[ -](?:de |of )?"
        rf"{_MONTH},?[ -](?:de |del )?\d{{4}}(?!\d)",
        rf"(?<!\w){_MONTH} \d{{1,2}}(?:st|nd|rd|th)?,? (?:19|20)\d\d(?!\d)",
        rf"(?<!\w){_MONTH} (?:19|20)\d\d(?!\d)",
        r"(?:19|20)\d\d ?[年년] ?\d{1,2} ?[月월](?: ?\d{1,2} ?[日일])?",
        r"(?<!\d)\d{1,2}:\d\d(?::\d\d)?(?:\.\d+)?(?!\d)",
        r"(?:©|\(c\)|copyright|™|®) ?(?:19|20)\d\d(?: ?- ?(?:19|20)\d\d)?",
        r"(?<!\d)(?:19|20)\d\d ?(?:©|- ?(?:19|20)\d\d(?!\d))",
        # Amounts: a currency on either side, or a decimal part.
        r"[$€£¥₹₽₺₩₴₪₫฿₦₱₸₾] ?\d[\d., ]{0,20}\d|[$€£¥₹₽₺₩₴₪₫฿₦₱₸₾] ?\d",
        rf"(?-i:(?<![A-Za-z]){_CURRENCY})\.? ?\d[\d.,]{{0,20}}",
        rf"(?<![\w.,])\d[\d.,]{{0,20}}(?: ?[$€£¥₹₽₺₩₴₪₫฿₱]| ?(?-i:{_CURRENCY})(?!\w)"
        r"|[ ]?(?:元|円|원|บาท|руб|р\.|грн|zł|kč|ft|lei|лв|kr|tl|euros?|dollars?|rupees"
        r"|pesos|reais|ريال|درهم|تومان)(?![^\W\d_]))",
        r"(?<![\w.,])\d{1,3}(?:[.,' ]\d{3}){1,5}[.,]\d{1,2}(?!\d)",
        r"(?<![\w.,])\d+[.,]\d{1,2}(?![\d])(?![.,]\d)",
        r"(?<![\w.,])\d{1,3}(?:,\d{3}){1,5}(?![\d,])",
        r"(?<!\w)\d+(?:[.,]\d+)? ?%",
        # Telephone numbers.
        r"\+ ?\d(?:[ ().-]{0,2}[\d*xX•]){6,16}",
        rf"(?<![^\W\d_]){_PHONE}[.:]{{0,2}} ?(?:us |at |on |al |au |to |nr\.? |no\.? ){{0,2}}"
        r"[+(]?\d(?:[ ().-]{0,2}\d){6,14}(?!\d)",
        r"(?<!\w)\(\d{2,5}\)[ .-]?\d{2,5}(?:[ .-]?\d{2,5}){1,3}(?!\d)",
        r"(?<![\w-])(?:1[-. ])?\d{3}[-. ]\d{3}[-. ]\d{4}(?![\w])",
        r"(?<![\w-])1[-. ]?[89]\d\d[-. ][\w-]{3,12}",
        r"(?<![\w-])0[89]00[ -]?\d{2,4}(?:[ -]?\d{2,4})?(?!\d)",
        r"(?<![\w-])0\d{1,4}[-/ ]\d{2,4}[- ]\d{2,4}(?:[- ]\d{2,4})?(?!\d)",
        r"(?<![\w-])\d{3,4}-\d{4}-\d{4}(?!\d)|(?<![\w-])0\d(?:[ .]\d{2}){4}(?!\d)",
        r"(?<!\w)\d(?:[ -]?\d){10,}(?!\w)",
        # What is left visible of a card, an account or a phone.
        r"(?<![*•])[*•·…#]{2,}[ -]?\d{2,6}(?![\d*•])",
        r"(?:[*•]{2,4}[ -]){1,4}[*•]{0,4}\d{2,6}(?![\d*•])|\d{1,6}[*•xX]{2,12}[ -]?\d{1,6}",
        r"(?<!\w)(?:a/c (?:no\.? )?)?x{2,}[ -]?\d{2,6}(?![\d])",
        r"(?:ending|ends|ended|terminad[ao]|terminando|finalizad[ao]|endend|eindigend)"
        r"(?: ?(?:in|with|on|by|auf|en|em|op|with the digits))?:? ?[*•x.]*\d{2,6}",
        r"(?:se terminant par|finissant par|che termina con|termina en|kończąc\w+ się(?: na)?"
        r"|końcówk\w+|оканчивающ\w+ся на|sonu|尾号为?|尾號為?|末尾|下[4四]桁|끝번호|끝자리)"
        r"[: ]{0,2}[*x]*\d{2,6}",
        r"(?-i:\b[A-Z]{2}[ ,]{1,2}\d{5}(?:-\d{4})?\b(?=[, \n]|$))",
        r"\b\d{1,5}(?: [A-Z][\w.]{1,15}){1,3} (?:street|st|avenue|ave|road|rd|parkway|pkwy"
        r"|blvd|boulevard|drive|dr|lane|ln|way|court|plaza|square|suite|floor)\b\.?",
    )
]
_RETRIEVER_HASH = re.compile(r"[ \n][A-Za-z0-9+/]{11}\s*\Z")


def blanked(text: str) -> str:
    """The text with everything that is certainly no code blanked out, of the same length."""
    if text.startswith("<#>"):
        text = _RETRIEVER_HASH.sub(_blank, text)
    for pattern in _NOT_CODES:
        text = pattern.sub(_blank, text)
    return text


def _blank(match: re.Match[str]) -> str:
    # Line ends stay, or two lines would become one sentence.
    return re.sub(r"[^\n]", BLANK, match.group())
