"""Recognise pages that hold no article: walls, checks, shells, logins, lists.

Each needs more than a phrase: how much text the extractor found, and how much the page shows at
all. An article *about* captchas is long; a captcha is not.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from html import unescape
from itertools import islice, pairwise
from typing import NamedTuple
from urllib.parse import urlsplit

from worker.articles import plain
from worker.articles.page import Page
from worker.reasons import Reason

_MUCH = 1_500  # characters of text; an article, whatever stands around it
_STUB = 900
_LITTLE = 400
_BARE = 2_500  # characters that a page shows in all, menus and footer included
_READ = 1_000_000  # bytes of a page that are looked at
_SHOWN = 20_000  # characters of what it shows
_WIDE = 3  # a CJK character says as much as so many others
_MANY_TEASERS = 8
_MOST_TEASERS = 200
_NEAR = 1_500  # bytes from a headline to the words below it


class Blocked(NamedTuple):
    """Why a page is no article, with one line for people."""

    reason: Reason
    detail: str


def judge(page: Page, text: str) -> Blocked | None:
    """Why `page`, of which the extractor made `text` ("" when nothing), is no article; None when
    it may be one.
    """
    seen = _Seen(page, text)
    for is_it, reason in _CHECKS:
        if detail := is_it(seen):
            return Blocked(reason, detail)
    return None


def judge_answer(status: int | None, body: bytes) -> Blocked | None:
    """What an answer that is an error says beyond its status; None when that is all."""
    if status == _PAYMENT_REQUIRED:
        return Blocked(Reason.PAYWALLED, "402 Payment Required")
    start = body[:_READ]
    found = _CHECK_SCRIPTS.search(start) or _CHECK_TITLE.search(_title(start))
    return Blocked(Reason.BOT_CHECK, f"status {status}, {_word(found[0])}") if found else None


@dataclass(frozen=True)
class _Seen:
    """A page and what can be told of it, each looked up when first needed."""

    page: Page
    text: str

    @cached_property
    def length(self) -> int:
        """How much text the extractor found, in characters of an alphabet."""
        return sum(_WIDE if character >= "\u3040" else 1 for character in self.text[:_SHOWN])

    @cached_property
    def source(self) -> bytes:
        return self.page.body[:_READ]

    @cached_property
    def title(self) -> str:
        return _title(self.source)

    @cached_property
    def shown(self) -> str:
        """The words of the page, menus and all; what is there for want of scripts as well."""
        text = _TAG.sub(b" ", without_scripts(self.source))[: 4 * _SHOWN]
        return unescape(" ".join(text.decode("utf-8", "replace").split()))[:_SHOWN]

    @cached_property
    def declares_article(self) -> bool:
        return bool(_ARTICLE.search(self.source))


def without_scripts(body: bytes) -> bytes:
    """`body` without scripts, styles and comments; one that does not end goes to the end."""
    kept: list[bytes] = []
    lower, position = body.lower(), 0
    while begin := _UNSEEN.search(body, position):
        kept.append(body[position : begin.start()])
        end = b"-->" if begin[2] else b"</" + begin[1].lower()
        position = lower.find(end, begin.end())
        if position < 0:
            return b" ".join(kept)
    return b" ".join([*kept, body[position:]])


def _is_lost(seen: _Seen) -> str:
    if seen.length >= _STUB:
        return ""
    found = _LOST_TITLE.match(seen.title)
    return f"its title is {_word(found[0])}" if found else ""


def _is_check(seen: _Seen) -> str:
    if seen.length >= _STUB:
        return ""
    if found := _CHECK_TITLE.search(seen.title):
        return f"its title is {_word(found[0])}"
    if len(seen.shown) >= (_BARE if seen.length < _LITTLE else _BARE / 2):
        return ""
    words = _CHECK_WORDS.search(seen.shown)
    script = _CHECK_SCRIPTS.search(seen.source)
    said = words[0] if words else script[0] if script else ""
    return f"it says {_word(said)}" if said else ""


def _is_consent(seen: _Seen) -> str:
    if seen.length >= _MUCH:
        return ""
    parts = urlsplit(seen.page.url)
    if _CONSENT_URL.match(f"{parts.netloc}{parts.path}"):
        return f"at {parts.netloc}{parts.path}"[:200]
    if found := _CONSENT_TITLE.match(seen.title):
        return f"its title is {_word(found[0])}"
    words = {found.casefold() for found in _CONSENT_WORDS.findall(seen.text or seen.shown)}
    is_all = len(seen.shown) < _BARE or seen.length >= _LITTLE / 2
    return f"it speaks of {', '.join(sorted(words))}" if len(words) >= 3 and is_all else ""


def _is_login(seen: _Seen) -> str:
    if seen.length >= _LITTLE or not _PASSWORD.search(seen.source):
        return ""
    asks = _LOGIN_URL.search(urlsplit(seen.page.url).path) or _LOGIN_TITLE.search(seen.title)
    return "it asks for a password" if asks or len(seen.shown) < _BARE else ""


def _is_paid(seen: _Seen) -> str:
    if seen.length >= _MUCH:
        return ""
    words = _PAID_WORDS.search(seen.shown)
    if _NOT_FREE.search(seen.source):
        is_cut = seen.text.rstrip().endswith(("…", "...", "[…]", "[...]"))
        if words or is_cut or seen.length < _LITTLE or _whole_words(seen) > 2 * _words(seen.text):
            return f"not free, and it shows {seen.length} characters"
    if seen.length < _STUB and words and _PAID_MARKS.search(seen.source):
        return f"it says {_word(words[0])}"
    return ""


def _is_shell(seen: _Seen) -> str:
    if seen.length >= _LITTLE:
        return ""
    if found := _SCRIPT_WORDS.search(seen.text or seen.shown):
        return f"it says {_word(found[0])}"
    is_empty = not seen.text and len(seen.shown) < _LITTLE and _ROOT.search(seen.source)
    return "nothing but scripts and an empty element for them" if is_empty else ""


def _is_list(seen: _Seen) -> str:
    if seen.declares_article:
        return ""
    parts = urlsplit(seen.page.url)
    if parts.netloc and not parts.query and _HOME.fullmatch(parts.path):
        return "it is a site's front page"
    teasers = _teasers(seen.source)
    if len(teasers) < _MANY_TEASERS:
        return ""
    lines = [plain.key(line) for line in seen.text.splitlines() if line.strip()]
    told = {words for teaser in teasers for words in teaser}
    if sum(line in told for line in lines) * 2 < len(lines):
        return ""
    return f"a list of {len(teasers)} headlines"


def _teasers(source: bytes) -> list[set[str]]:
    """What stands in the lists of other articles: the headline of each and the words below it."""
    found = list(islice(_TEASER.finditer(source), _MOST_TEASERS))
    teasers = []
    for one, following in pairwise([*found, None]):
        assert one is not None
        end = min(one.end() + _NEAR, following.start() if following else len(source))
        below = _TEASED.findall(source, one.end(), end)
        teasers.append({_key(one[1]), *map(_key, below)} - {""})
    return teasers


def _key(markup: bytes) -> str:
    return plain.key(plain.line(_TAG.sub(b" ", markup).decode("utf-8", "replace")))


def _title(source: bytes) -> str:
    found = _TITLE.search(source)
    return " ".join(unescape(found[1].decode("utf-8", "replace")).split()) if found else ""


def _whole_words(seen: _Seen) -> int:
    found = _WORD_COUNT.search(seen.source)
    return int(found[1]) if found else 0


def _words(text: str) -> int:
    return len(text.split())


def _word(found: str | bytes) -> str:
    text = found.decode("utf-8", "replace") if isinstance(found, bytes) else found
    return repr(" ".join(text.split())[:80])


_CHECKS: tuple[tuple[Callable[[_Seen], str], Reason], ...] = (
    (_is_lost, Reason.NOT_FOUND),
    (_is_check, Reason.BOT_CHECK),
    (_is_consent, Reason.CONSENT_WALL),
    (_is_login, Reason.LOGIN_REQUIRED),
    (_is_paid, Reason.PAYWALLED),
    (_is_shell, Reason.NEEDS_JAVASCRIPT),
    (_is_list, Reason.NOT_AN_ARTICLE),
)

_PAYMENT_REQUIRED = 402
_UNSEEN = re.compile(rb"<(script|style|template)\b|<(!--)", re.IGNORECASE)
_TAG = re.compile(rb"<[^<>]{0,4000}>")
_TITLE = re.compile(rb"<title[^<>]{0,200}>([^<]{1,500})", re.IGNORECASE)
_ARTICLE = re.compile(
    rb"""\bog:type["']?\s{1,5}content=["']?(?:article|news)|content=["']?article["']?\s{1,5}"""
    rb"""property=["']?og:type|\barticle:published_time\b|"articleBody"|"""
    rb"""itemtype=["']?https?://schema\.org/(?:News)?Article""",
    re.IGNORECASE,
)
_LOST_TITLE = re.compile(
    r"(?:error )?404\b|(?:page|article|story) (?:was )?not found|not found\b|"
    r"halaman tidak (?:di)?temukan|(?:laman|artikel|berita) tidak (?:di)?(?:temukan|jumpai)|"
    r"seite nicht gefunden|page (?:non trouvée|introuvable)|página no encontrada|"
    r"pagina non trovata|página não encontrada|pagina niet gevonden|strona nie istnieje|"
    r"страница не найдена|sayfa bulunamadı|ページが見つかりません|页面不存在",
    re.IGNORECASE,
)
_CHECK_TITLE = re.compile(
    r"^(?:just a moment\W*|one moment, please\W*|attention required! \| cloudflare|"
    r"access denied\W*|access to this page has been denied\W*|robot check|"
    r"are you a (?:robot|human)\W*|human verification|(?:bot|security) (?:check|verification)\W*|"
    r"pardon our interruption\W*|please (?:wait|verify)\W*|verify(?:ing)? you are human\W*|"
    r"ddos-guard|checking your browser\W*|request unsuccessful\W*)$|"
    r"^(?:you have been blocked|um momento|nur einen moment|un momento|un instant|tunggu sebentar)"
    r"\W*$",
    re.IGNORECASE,
)
_CHECK_WORDS = re.compile(
    r"verify(?:ing)? (?:that )?you are (?:a )?(?:human|not a (?:ro)?bot)|are you a robot|"
    r"not a robot|checking (?:if the site connection is secure|your browser)|"
    r"(?:please )?enable (?:javascript and )?cookies (?:to continue|and reload)|"
    r"please enable cookies|unusual (?:traffic|activity) from your|"
    r"complete the (?:captcha|security)|performance & security by cloudflare|ddos protection by|"
    r"you don't have permission to access|reference\s?#[0-9a-f]+\.|"
    r"incapsula incident id|press & hold|access to this page has been denied|"
    r"bahwa anda (?:adalah )?(?:manusia|bukan robot)|dass sie (?:ein mensch|kein (?:ro)?bot)|"
    r"que vous n['’]êtes pas un robot|que no eres un robot|que você não é um robô|"
    r"что вы не робот|robot olmadığınızı|ロボットではない|不是机器人",
    re.IGNORECASE,
)
_CHECK_SCRIPTS = re.compile(
    rb"_cf_chl_opt|cf-challenge|cf_chl_|cf-browser-verification|px-captcha|_Incapsula_Resource|"
    rb"captcha-delivery\.com|awsWafCookieDomainList|gokuProps|/ddos-guard/|sucuri_cloudproxy_js|"
    rb"distil_r_captcha",
)
_CONSENT_URL = re.compile(
    r"consent\.|cmp\.|[^/]{1,200}/(?:zustimmung|consent|cookie-?wall|cookiewall|gdpr|"
    r"privacy-?(?:gate|wall))\b",
    re.IGNORECASE,
)
_CONSENT_TITLE = re.compile(
    r"before you continue|bevor sie (?:fort|weiter)|avant (?:de continuer|d['’]accéder)|"
    r"antes de continuar|prima di continuare|voordat (?:je|u) verdergaat|zanim przejdziesz|"
    r"we value your privacy|cookie[ -]?(?:consent|wall|einstellungen|zustimmung)|"
    r"(?:ihre|deine) (?:zustimmung|einwilligung)|your (?:privacy choices|consent)",
    re.IGNORECASE,
)
_CONSENT_WORDS = re.compile(
    r"cookies?\b|accept all|alle akzeptieren|tout accepter|aceptar todo|terima semua|"
    r"accetta tutt\w|aceitar tud\w|alles accepteren|zgadzam się|consent\w*|einwilligung|"
    r"zustimm\w+|consentement|consentimiento|consenso|persetujuan|toestemming|tracking|"
    r"personali[sz]ed (?:ads|advertising)|personalisierte (?:werbung|anzeigen)|"
    r"publicités? personnalisées?|publicidad personalizada|iklan yang dipersonalisasi|"
    r"data protection|datenschutz\w*|our (?:\d+ )?partners|unsere (?:\d+ )?partner|"
    r"nos (?:\d+ )?partenaires|nuestros (?:\d+ )?socios|mitra kami",
    re.IGNORECASE,
)
_PASSWORD = re.compile(rb"""<input\b[^<>]{0,500}type=["']?password""", re.IGNORECASE)
_LOGIN_URL = re.compile(
    r"/(?:login|log-?in|signin|sign-in|masuk|anmelden|connexion|acceder|auth|sso)\b", re.IGNORECASE
)
_LOGIN_TITLE = re.compile(
    r"\b(?:log ?in|sign ?in|masuk|anmelden|einloggen|connexion|iniciar sesión|accedi|entrar|"
    r"inloggen|zaloguj|giriş|вход|войти)\b|تسجيل الدخول|ログイン|登录|登入",
    re.IGNORECASE,
)
_NOT_FREE = re.compile(
    rb"""isAccessibleForFree\\?["']\s{0,5}:\s{0,5}\\?["']?false|"""
    rb"""article:content_tier["']\s{1,5}content=["']locked""",
    re.IGNORECASE,
)
_WORD_COUNT = re.compile(rb"""["']wordCount["']\s{0,5}:\s{0,5}["']?(\d{2,5})\b""")
_PAID_MARKS = re.compile(
    rb"paywall|premium-(?:content|gate)|piano-|tp-container|subscri(?:ber|ption)-(?:only|wall)|"
    rb"meteredContent|regwall|article__locked|content-gate|\bgated\b",
    re.IGNORECASE,
)
_PAID_WORDS = re.compile(
    r"subscribe (?:now )?to (?:continue|read|keep reading|unlock)|(?:only|exclusive(?:ly)?) "
    r"(?:available )?(?:for|to) (?:our )?(?:subscribers|members)|already a (?:subscriber|member)|"
    r"to (?:continue|keep) reading|unlock (?:this|the) (?:article|story)|"
    r"(?:ber)?langganan (?:sekarang )?untuk (?:mem?baca|melanjutkan|akses)|"
    r"khusus (?:untuk )?pelanggan|sudah berlangganan|"
    r"konten (?:ini )?(?:premium|eksklusif|berbayar)|"
    r"(?:weiterlesen|jetzt lesen) mit|(?:artikel|inhalt) (?:ist )?(?:nur )?für abonnent|"
    r"mit (?:einem )?(?:\w+-?)?(?:digital)?-?abo (?:weiter|lesen)|sie haben bereits ein abo|"
    r"réservée? aux abonnés|il vous reste [\d.,]+ ?% de cet article|déjà abonnée?|"
    r"(?:contenido )?(?:exclusivo|solo) para suscriptores|suscríbete para (?:seguir|leer)|"
    r"contenuto riservato agli abbonati|riservato agli abbonati|exclusivo para assinantes|"
    r"alleen voor abonnees|lees verder met|dostęp(?:ny)? dla prenumeratorów|"
    r"abonelere özel|доступно (?:только )?по подписке|только для подписчиков|"
    r"للمشتركين فقط|(?:有料)?会員限定|残り[0-9０-９]+文字|登録会員|订阅后|付费阅读|仅限订阅",
    re.IGNORECASE,
)
_SCRIPT_WORDS = re.compile(
    r"(?:enable|requires?|need(?:s)?(?: to enable)?|turn on|without|activate) javascript|"
    r"javascript (?:is|must be|needs to be) (?:disabled|enabled|required|not enabled)|"
    r"javascript (?:seems to be |ist )?(?:disabled|deaktiviert)|"
    r"(?:aktifkan|mengaktifkan|hidupkan) javascript|javascript (?:aktivieren|aktiv)|"
    r"bitte aktivieren sie javascript|activer javascript|activ(?:a|e|ar) javascript|"
    r"attiva(?:re)? javascript|включите javascript|javascript['’]?[ıi] etkinleştir|"
    r"javascriptを有効|启用 ?javascript",
    re.IGNORECASE,
)
_ROOT = re.compile(
    rb"""<(?:div|main)\b[^<>]{0,200}\bid=["']?(?:root|app|__next|__nuxt|main|q-app|application)\b"""
    rb"""[^<>]{0,200}>\s{0,200}</|<app-root\b""",
    re.IGNORECASE,
)
_HOME = re.compile(r"/?|/(?:index|default|home)(?:\.\w{3,5})?/?|/[a-z]{2}/?", re.IGNORECASE)
_TEASER = re.compile(
    rb"""<h[2-5]\b[^<>]{0,300}>\s{0,200}<a\b[^<>]{0,1000}\bhref=["']?[^#"'<> ][^<>]{0,1000}>"""
    rb"""((?:[^<]|<(?!/a)){1,500})</a""",
    re.IGNORECASE,
)
_TEASED = re.compile(rb"<(?:p|div|span)\b[^<>]{0,500}>([^<]{20,1000})", re.IGNORECASE)
