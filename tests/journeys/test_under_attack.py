"""Signing in while many guess (R28): the work that nobody sees, and the way for browsers without scripts."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]
from playwright.async_api import Browser, Route
from street import PASSWORD, Look, Street, Visitor, open_street, visiting

pytestmark = [pytest.mark.anyio, pytest.mark.journey]

FIRST_FLIGHT = 14 * 1024
"""Bytes; the icon, which this browser does not ask for, is left some room."""
SHOTS = os.environ.get("JOURNEY_SHOTS")
WITHOUT_SCRIPTS = (Look("ar", 320, scripts=False, scheme="dark"), Look("en", 1280, scripts=False))


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    """Every password costs work here, as it does at the first sign of many guesses."""
    with open_street(
        tmp_path_factory.mktemp("attack"), 5, "--setting=throttle.proof_from=0", "--setting=throttle.proof_bits=12"
    ) as opened:
        yield opened


async def keep(visitor: Visitor, name: str) -> None:
    """A picture, for who wants to look."""
    if SHOTS:
        path = Path(SHOTS) / f"attack-{visitor.look}-{visitor.look.scheme}-{name}.png"
        await visitor.page.screenshot(path=path, full_page=True)


async def test_a_browser_with_scripts_signs_in_as_ever(browser: Browser, street: Street) -> None:
    """R28: nothing to do, nothing to wait for; the page is as light as ever."""
    somebody = street.resident()
    async with visiting(browser, street, Look("en", 320)) as visitor:
        await visitor.enter(street.parks)
        await visitor.at("sign-in")
        sizes: list[float] = []
        devtools = await visitor.page.context.new_cdp_session(visitor.page)
        devtools.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
        await devtools.send("Network.enable")
        await devtools.send("Network.setCacheDisabled", {"cacheDisabled": True})
        await visitor.page.reload(wait_until="networkidle")
        assert len(sizes) >= 5, "document, style, three scripts"
        assert 5_000 < sum(sizes) < FIRST_FLIGHT - 800, sizes
        print(f"\n{sum(sizes):.0f} bytes")
        await visitor.page.locator('[name="proof"]:not([value=""])').wait_for(state="attached")
        await keep(visitor, "ticket")

        await visitor.sign_in(somebody)

        await visitor.at("consent")
        assert 429 not in [status for status, _ in visitor.documents]


async def test_a_press_before_the_work_is_done_waits_for_it(browser: Browser, street: Street) -> None:
    """A slow device: the button holds, the page says why, nothing moves, and nothing has to be pressed again."""
    somebody = street.resident()
    search = "const search = async () => {"

    async def held(route: Route) -> None:
        found = await route.fetch()
        script = await found.text()
        assert script.count(search) == 1
        gate = f"{search} await new Promise((open) => (window.openGate = open));"
        await route.fulfill(response=found, body=script.replace(search, gate))

    async with visiting(browser, street, Look("en", 320)) as visitor:
        await visitor.page.route("**/static/work.*", held)
        await visitor.enter(street.parks)
        await visitor.at("sign-in")
        await visitor.write(identifier=somebody.email, password=PASSWORD)
        links = visitor.main.locator("ul.plain")
        before = await links.bounding_box()
        for _ in range(2):
            await visitor.main.locator("button[name=action]").click()
        await visitor.main.get_by_text("One moment, please.").wait_for()
        await keep(visitor, "held")
        assert await links.bounding_box() == before

        async with visitor.page.expect_navigation():
            await visitor.page.evaluate("openGate()")
        await visitor.give_code(somebody.seed)
        await visitor.at("consent")


async def test_a_script_that_does_not_arrive_leaves_the_slower_way(browser: Browser, street: Street) -> None:
    """WCAG 2.2 AA on the page that asks to wait; then the work is done after all."""
    somebody = street.resident()
    async with visiting(browser, street, Look("en", 320, scheme="dark")) as visitor:
        await visitor.page.route("**/static/work.*", lambda route: route.abort())
        await visitor.enter(street.parks)
        await visitor.give_password(somebody.email)
        await visitor.at("sign-in")
        await visitor.read("Many people are trying to sign in just now. Wait", "seconds, then press the button again.")
        found = await Axe().run(visitor.page, options={"resultTypes": ["violations"]})
        assert not found.response["violations"]

        await visitor.page.unroute_all()
        await visitor.page.reload()  # the browser posts again, and gets the page with its script
        await visitor.sign_in(somebody)
        await visitor.at("consent")


@pytest.mark.parametrize("look", WITHOUT_SCRIPTS, ids=str)
async def test_without_scripts_waiting_is_enough(browser: Browser, street: Street, look: Look) -> None:
    """WCAG 2.2 section 3.3.8: what was typed is kept, the page says how long, and after that it is let in."""
    somebody = street.resident()
    async with visiting(browser, street, look) as visitor:
        await visitor.enter(street.parks)
        await visitor.give_password(somebody.email)
        await visitor.at("sign-in")
        assert visitor.documents[-1][0] == 429
        await visitor.read("Many people are trying to sign in just now. Wait", "seconds, then press the button again.")
        assert await visitor.main.locator('[name="identifier"]').input_value() == somebody.email
        await keep(visitor, "wait")

        street.later(75)  # others here are before
        await visitor.sign_in(somebody)
        await visitor.at("consent")
