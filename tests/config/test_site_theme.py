"""The theme: a government's own colours and name, refused when they cannot be read."""

from pathlib import Path

import pytest

from config.site.theme import ThemeError, contrast, custom_properties, read_theme


@pytest.fixture
def theme_file(tmp_path: Path) -> Path:
    return tmp_path / "theme.toml"


def test_a_theme_says_only_what_it_changes(theme_file: Path) -> None:
    theme_file.write_text('name = "Ihre Behörde"\n[light]\nbrand = "#003366"\n')

    theme = read_theme(theme_file)

    assert theme.name_in("cy") == "Ihre Behörde"
    assert theme.light.brand == "#003366"
    assert theme.light.text == read_theme().light.text


def test_a_name_can_differ_by_language(theme_file: Path) -> None:
    theme_file.write_text('[name]\nen = "Your Account"\ncy = "Eich Cyfrif"\n')

    theme = read_theme(theme_file)

    assert (theme.name_in("cy"), theme.name_in("fr")) == ("Eich Cyfrif", "Your Account")
    assert read_theme().name_in("cy") is None


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('[light]\nbrnd = "#003366"', "brnd"),
        ('[dark]\nlink = "blue"', "dark.link"),
        ("[light]\ntext = 3", "light.text"),
        ('[name]\ncy = "Cyfrif"', "name.en"),
        ('logo = "missing.svg"', "logo"),
        ('logo = "theme.toml"', "logo"),
        ('folder = "/"', "folder"),
        ("name = ", "theme.toml"),
    ],
)
def test_a_wrong_theme_is_refused_and_the_key_is_named(theme_file: Path, text: str, named: str) -> None:
    """R74: the service does not start with a wrong setting, and says which."""
    theme_file.write_text(text)

    with pytest.raises(ThemeError, match=named) as refused:
        read_theme(theme_file)

    assert "theme.toml" in str(refused.value)


def test_colours_that_cannot_be_read_are_refused(theme_file: Path) -> None:
    """WCAG 2.2, 1.4.3: 4.5 to 1."""
    theme_file.write_text('[light]\nlink = "#7aa7d6"\n')

    with pytest.raises(ThemeError, match=r"light\.link on light\.ground has a contrast of 2\.5"):
        read_theme(theme_file)


def test_contrast_is_that_of_the_guidelines() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


def test_dark_colours_are_for_screens_alone() -> None:
    """A page printed by somebody who reads in the dark is black on white."""
    properties = custom_properties(read_theme())
    assert "--on-brand:#ffffff" in properties
    assert "@media screen and (prefers-color-scheme:dark){:root{" in properties
