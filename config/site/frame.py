"""The frame of every page: a template engine that knows the language, the theme and the assets."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, tzinfo
from gettext import NullTranslations
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode
from zoneinfo import ZoneInfo

import msgspec
from babel.dates import format_date, format_time, get_datetime_format
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template, pass_context
from jinja2.runtime import Context
from litestar import Request
from litestar.plugins.jinja import JinjaTemplateEngine
from litestar.template.config import TemplateConfig
from markupsafe import Markup

from accounts.pages.page import TYPED
from config.site.languages import COOKIE, DEFAULT, LANGUAGES, PARAMETER, Language, catalog_of, choose, quantity
from config.site.static import Assets
from config.site.theme import Theme

LIMIT = "limit"
"""Of a request's state: until when the form on its page can be sent, as `components.html` shows it."""
TEMPLATES = Path(__file__).with_name("templates")


class Link(msgspec.Struct, frozen=True):
    """A place of the account's navigation; `text` is a message id (marked with `N_`)."""

    path: str
    text: str


class Frame(msgspec.Struct, frozen=True):
    """What every page shares. `explanations` are by reason: (title, what happened, what to do)."""

    theme: Theme
    assets: Assets
    default_language: str = DEFAULT
    time_zone: str = "UTC"
    navigation: Sequence[Link] = ()
    explanations: Mapping[str, tuple[str, str, str]] = {}


def template_config(
    frame: Frame, folders: Iterable[Path] = (), *, development: bool = False
) -> TemplateConfig[JinjaTemplateEngine]:
    """For `Litestar(template_config=...)`. `folders` are the templates of the other packages; one may be missing."""
    environment = Environment(
        loader=FileSystemLoader([TEMPLATES, *folders]),
        autoescape=True,
        undefined=StrictUndefined,
        auto_reload=development,
        cache_size=-1,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    environment.policies["ext.i18n.trimmed"] = True
    environment.install_gettext_callables(_gettext, _ngettext, newstyle=True)  # type: ignore[attr-defined]
    environment.globals.update(csrf_field=csrf_field)
    environment.filters.update(date=_date, time=_time, instant=_instant, duration=_duration, quantity=_quantity)
    return TemplateConfig(instance=SiteEngine(environment, frame))


def language_of(request: Request[Any, Any, Any], default: str = DEFAULT) -> str:
    """The language of this request: chosen by hand, wanted by the request or account, the browser's, the default."""
    return choose(
        (request.query_params.get(PARAMETER), request.cookies.get(COOKIE)),
        request.state.get("languages") or (),
        request.headers.get("accept-language", ""),
        default,
    )


class SiteEngine(JinjaTemplateEngine):
    """Jinja, with the variables of the frame given to every page."""

    def __init__(self, environment: Environment, frame: Frame) -> None:
        self.frame = frame
        self.engine = environment

    def get_template(self, template_name: str) -> "SiteTemplate":  # type: ignore[override]
        return SiteTemplate(super().get_template(template_name), self.frame)


class SiteTemplate:
    """A template whose `render` adds what the frame knows about this request."""

    def __init__(self, template: Template, frame: Frame) -> None:
        self._template = template
        self._frame = frame

    def render(self, *args: Any, **context: Any) -> str:
        return self._template.render(_shared(self._frame, context["request"]), *args, **context)


def _shared(frame: Frame, request: Request[Any, Any, Any]) -> dict[str, Any]:
    language = LANGUAGES[language_of(request, frame.default_language)]
    catalog = catalog_of(language.tag)
    return {
        "lang": language.tag,
        "dir": language.direction,
        "catalog": catalog,
        "service_name": frame.theme.name_in(language.tag) or catalog.gettext("Citizen Account"),
        "theme": frame.theme,
        "contact": frame.theme.contact,
        "language_links": _language_links(request, language),
        "static_url": _static_url(frame.assets),
        "explanations": frame.explanations,
        "navigation": frame.navigation,
        "here": request.url.path,
        "time_zone": request.state.get("time_zone") or frame.time_zone,
        "limit": request.state.get(LIMIT),
        "has_kept": bool(request.state.get(TYPED)),
        "problems": (),
        "typed": {},
    }


def _static_url(assets: Assets) -> Callable[[str], str]:
    return lambda name: assets[name].url


def _language_links(request: Request[Any, Any, Any], current: Language) -> list[tuple[Language, str, bool]]:
    """Each language, the address of this very page in it, and whether it is the one shown."""
    query = [pair for pair in parse_qsl(request.url.query, keep_blank_values=True) if pair[0] != PARAMETER]
    return [
        (language, f"{request.url.path}?{urlencode([*query, (PARAMETER, language.tag)])}", language is current)
        for language in LANGUAGES.values()
    ]


@pass_context
def csrf_field(context: Context) -> Markup:
    """The hidden field that every form carries. The token is masked anew for each page (pages are compressed)."""
    token = context["request"].state.get("csrf_token")
    if token is None:
        raise RuntimeError("request.state.csrf_token is not set: no form may leave without it")
    return Markup('<input type="hidden" name="csrf_token" value="{}">').format(token())


@pass_context
def _gettext(context: Context, message: str) -> str:
    return _catalog(context).gettext(message) if message else ""


@pass_context
def _ngettext(context: Context, singular: str, plural: str, n: int) -> str:
    return _catalog(context).ngettext(singular, plural, n)


def _catalog(context: Context) -> NullTranslations:
    catalog: NullTranslations | None = context.get("catalog")
    if catalog is None:
        raise RuntimeError('no language here: import macros "with context"')
    return catalog


@pass_context
def _date(context: Context, value: date) -> Markup:
    """`22 November 2026`. A day has no time zone; an instant is shown with `instant`."""
    return _moment(value.isoformat(), format_date(value, "long", locale=_locale(context)))


@pass_context
def _time(context: Context, value: datetime, zone: str | None = None) -> Markup:
    """`14:05` in the time zone given, else the page's."""
    zoned = value.astimezone(_zone(context, zone))
    return _moment(zoned.isoformat("T", "minutes"), _clock_time(zoned, _locale(context)))


@pass_context
def _instant(context: Context, value: datetime, zone: str | None = None) -> Markup:
    """`22 November 2026, 14:05` in the time zone given, else the page's."""
    zoned = value.astimezone(_zone(context, zone))
    locale = _locale(context)
    day, hour = format_date(zoned, "long", locale=locale), _clock_time(zoned, locale)
    return _moment(zoned.isoformat("T", "minutes"), str(get_datetime_format("medium", locale)).format(hour, day))


@pass_context
def _duration(context: Context, seconds: int) -> str:
    """`3 minutes`: rounded up, so that who comes back then is not too early."""
    for unit, size, least in (("hour", 3600, 7200), ("minute", 60, 60)):
        if seconds >= least:
            return quantity(context["lang"], -(-seconds // size), unit)
    return quantity(context["lang"], max(seconds, 1), "second")


@pass_context
def _quantity(context: Context, value: int, unit: str) -> str:
    """`5|quantity("day")` -> `5 days`, in the plural forms of the language."""
    return quantity(context["lang"], value, unit)


def _zone(context: Context, zone: str | None) -> tzinfo:
    """The zone of this name. The name may come from a profile, where any text may stand: UTC for what is none."""
    try:
        return ZoneInfo(zone or context["time_zone"])
    except (KeyError, ValueError, OSError):
        return UTC


def _locale(context: Context) -> str:
    """For Babel: the pages' English writes its dates as most of the world does, day first."""
    tag: str = context["lang"]
    return "en_GB" if tag == "en" else tag


def _clock_time(zoned: datetime, locale: str) -> str:
    """24 hours, as timetables and official letters write it; a citizen without a time zone is told which one it is."""
    return format_time(zoned, "HH:mm", locale=locale) + (" UTC" if zoned.tzname() == "UTC" else "")


def _moment(machine: str, text: str) -> Markup:
    return Markup('<time datetime="{}">{}</time>').format(machine, text)
