"""Every part of the frame in a real browser: no violation, no sideways scrolling, at most 14 KB."""

from collections.abc import Iterator
from functools import partial

import pytest
import site_gallery
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]
from playwright.async_api import Browser, ConsoleMessage, Page, Request

from config.site.languages import LANGUAGES

pytestmark = [pytest.mark.anyio, pytest.mark.journey]

FIRST_FLIGHT = 14 * 1024
"""Bytes of a page over the wire, all its parts together (product.md)."""


@pytest.fixture(scope="module")
def gallery() -> Iterator[str]:
    with site_gallery.served(site_gallery.gallery_app()) as address:
        yield address


async def narrow_page(browser: Browser, scheme: str) -> Page:
    """320 px wide, which is also a 1280 px window at 400 %."""
    context = await browser.new_context(viewport={"width": 320, "height": 640}, color_scheme=scheme)  # type: ignore[arg-type]
    return await context.new_page()


@pytest.mark.parametrize(("language", "scheme"), [("en", "light"), ("ar", "dark")])
async def test_every_page_is_accessible(browser: Browser, gallery: str, language: str, scheme: str) -> None:
    """WCAG 2.2 AA, all rules of axe; the other languages and schemes are looked at on the real pages (journeys)."""
    page = await narrow_page(browser, scheme)
    found = []
    for path in site_gallery.PAGES:
        await page.goto(in_language(gallery + path, language))
        violations = (await Axe().run(page)).response["violations"]
        found += [(path, violation["id"], violation["nodes"][0]["html"]) for violation in violations]
    assert not found
    await page.context.close()


async def test_nothing_scrolls_sideways_at_400_percent(browser: Browser, gallery: str) -> None:
    """WCAG 2.2, 1.4.10: in every language."""
    page = await narrow_page(browser, "light")
    too_wide = []
    for address in [in_language(gallery + path, language) for path in site_gallery.PAGES for language in LANGUAGES]:
        await page.goto(address)
        if await page.evaluate("document.documentElement.scrollWidth") > 320:
            too_wide.append(address)
    assert not too_wide
    await page.context.close()


def in_language(address: str, language: str) -> str:
    return f"{address}{'&' if '?' in address else '?'}lang={language}"


def note(ended: list[Request], request: Request) -> None:
    ended.append(request)


async def test_every_page_fits_into_the_first_flight(browser: Browser, gallery: str) -> None:
    """Product: 14 KB over the wire on a first visit."""
    for path in site_gallery.PAGES:
        context = await browser.new_context()
        page = await context.new_page()
        ended: list[Request] = []
        page.on("requestfinished", partial(note, ended))
        await page.goto(gallery + path)
        sizes = [await request.sizes() for request in ended]
        assert sum(size["responseBodySize"] + size["responseHeadersSize"] for size in sizes) <= FIRST_FLIGHT, path
        await context.close()


async def test_the_policy_blocks_nothing_of_ours(browser: Browser, gallery: str) -> None:
    """R70: a page that broke its own policy would say so in the console."""
    page = await browser.new_page()
    said: list[str] = []
    addresses = {gallery + path for path in site_gallery.PAGES[:10]}

    def hear(message: ConsoleMessage) -> None:
        # A form with a mistake in it is a 400, as it should be; the console may tell only when the next page is there.
        if not (message.text.startswith("Failed to load resource") and message.location["url"] in addresses):
            said.append(message.text)

    page.on("console", hear)
    page.on("pageerror", lambda error: said.append(str(error)))
    for address in sorted(addresses):
        await page.goto(address)
    assert not said
    await page.close()


async def test_the_password_can_be_shown_and_is_hidden_again_when_it_is_sent(browser: Browser, gallery: str) -> None:
    """WCAG 2.2, 3.3.8; a browser must not remember it among ordinary texts."""
    page = await browser.new_page()
    await page.goto(f"{gallery}/sign-in")
    await page.locator("#password").fill("correct horse")
    await page.get_by_role("button", name="Show password").click()
    assert await page.locator("#password").get_attribute("type") == "text"
    assert await page.get_by_role("status").inner_text() == "Your password is shown"

    await page.evaluate("document.forms[0].addEventListener('submit', event => event.preventDefault())")
    await page.get_by_role("button", name="Continue").click()

    assert await page.locator("#password").get_attribute("type") == "password"
    await page.close()


async def test_without_javascript_nothing_is_offered_that_needs_it(browser: Browser, gallery: str) -> None:
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    for path, name in (("/sign-in", "Show password"), ("/codes", "Print this page")):
        await page.goto(gallery + path)
        assert await page.get_by_role("button", name=name).count() == 0
    await context.close()


async def test_an_error_is_the_first_thing_a_keyboard_or_screen_reader_meets(browser: Browser, gallery: str) -> None:
    """WCAG 2.2, 3.3.1 and 2.4.3: without JavaScript as well; its links lead into the fields."""
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(f"{gallery}/sign-in?wrong")
    await page.locator(".summary:focus").wait_for()
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await page.locator("#identifier:focus").wait_for()
    assert await page.locator("#identifier").input_value() == "ada@example.test"
    await context.close()


async def test_a_language_chosen_by_hand_stays(browser: Browser, gallery: str) -> None:
    """The choice stays on the same page with its query, and holds for the next one."""
    context = await browser.new_context(locale="fr")
    page = await context.new_page()
    await page.goto(f"{gallery}/sign-in?interaction=x")
    assert await page.locator("html").get_attribute("lang") == "fr"
    await page.get_by_role("link", name="العربية").click()
    assert page.url == f"{gallery}/sign-in?interaction=x&lang=ar"
    await page.goto(f"{gallery}/help")
    assert await page.locator("html").get_attribute("dir") == "rtl"
    await context.close()
