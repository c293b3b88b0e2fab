"""The theme: the name, colours, logo and contact that make the pages a government's own."""

import tomllib
from pathlib import Path
from typing import Any

import msgspec

DEFAULT_THEME = Path(__file__).with_name("theme.toml")

LEGIBLE = 4.5
"""Contrast of text with its ground (WCAG 2.2, 1.4.3)."""
VISIBLE = 3.0
"""Contrast of what is no text: borders of inputs, the shape of a button (WCAG 2.2, 1.4.11)."""


class ThemeError(ValueError):
    """The theme cannot be used; the text names the file and the key."""


class Colours(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One scheme, each colour as `#rrggbb`."""

    brand: str
    on_brand: str
    ground: str
    panel: str
    text: str
    quiet: str
    line: str
    edge: str
    link: str
    button: str
    on_button: str
    error: str
    success: str
    focus: str


PAIRS = (
    ("text", "ground", LEGIBLE),
    ("text", "panel", LEGIBLE),
    ("quiet", "ground", LEGIBLE),
    ("quiet", "panel", LEGIBLE),
    ("link", "ground", LEGIBLE),
    ("link", "panel", LEGIBLE),
    ("error", "ground", LEGIBLE),
    ("success", "ground", LEGIBLE),
    ("on_brand", "brand", LEGIBLE),
    ("on_button", "button", LEGIBLE),
    ("edge", "ground", VISIBLE),
    ("button", "ground", VISIBLE),
)


class Contact(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who runs the service and how a citizen reaches a person; an empty value is left out of the pages."""

    organisation: str = ""
    email: str = ""
    phone: str = ""


class Theme(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a government sets. `name` is one name, or one a language, or nothing (the translated default).

    `logo` is written beside the theme file and read here as an absolute path.
    """

    light: Colours
    dark: Colours
    contact: Contact = Contact()
    name: str | dict[str, str] = ""
    logo: str = ""

    def name_in(self, language: str) -> str | None:
        """The name in this language, else the English one, else nothing: the page then translates its default."""
        if isinstance(self.name, str):
            return self.name or None
        return self.name.get(language) or self.name["en"]

    @property
    def logo_file(self) -> Path | None:
        return Path(self.logo) if self.logo else None


def read_theme(path: Path | None = None) -> Theme:
    """The theme of this file laid over the default one. Raises ThemeError, naming file and key."""
    values = _table(DEFAULT_THEME)
    if path is not None:
        for key, value in _table(path).items():
            both = isinstance(value, dict) and isinstance(values.get(key), dict)
            values[key] = {**values[key], **value} if both else value
    source = path or DEFAULT_THEME
    try:
        theme = msgspec.convert(values, Theme)
    except msgspec.ValidationError as error:
        raise ThemeError(f"{source}: {error}") from error
    if theme.logo:
        theme = msgspec.structs.replace(theme, logo=str((source.parent / theme.logo).resolve()))
    _verify(theme, source)
    return theme


def custom_properties(theme: Theme) -> str:
    """The colours as CSS custom properties: light, and dark where the reader prefers it on a screen."""
    light, dark = (f":root{{{_properties(colours)}}}" for colours in (theme.light, theme.dark))
    return f"{light}@media screen and (prefers-color-scheme:dark){{{dark}}}"


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours, 1 to 21 (WCAG 2.2, relative luminance)."""
    brighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


def _verify(theme: Theme, source: Path) -> None:
    if isinstance(theme.name, dict) and not theme.name.get("en"):
        raise ThemeError(f"{source}: name.en is missing: it stands in where a language has no name of its own")
    if theme.logo_file and not (theme.logo.endswith(".svg") and theme.logo_file.is_file()):
        raise ThemeError(f"{source}: logo must be an SVG file that exists, not {theme.logo!r}")
    for scheme, colours in (("light", theme.light), ("dark", theme.dark)):
        for key, value in msgspec.structs.asdict(colours).items():
            if not _is_colour(value):
                raise ThemeError(f"{source}: {scheme}.{key} must be a colour like #173a5e, not {value!r}")
        for front, back, least in PAIRS:
            ratio = contrast(getattr(colours, front), getattr(colours, back))
            if ratio < least:
                raise ThemeError(
                    f"{source}: {scheme}.{front} on {scheme}.{back} has a contrast of {ratio:.1f}, {least} is needed"
                )


def _table(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ThemeError(f"{path}: {error}") from error


def _is_colour(value: str) -> bool:
    return len(value) == 7 and value[0] == "#" and all(digit in "0123456789abcdefABCDEF" for digit in value[1:])


def _properties(colours: Colours) -> str:
    return "".join(f"--{key.replace('_', '-')}:{value};" for key, value in msgspec.structs.asdict(colours).items())


def _luminance(colour: str) -> float:
    channels = (int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5))
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
