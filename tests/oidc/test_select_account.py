"""`prompt=select_account`: go on as this citizen, or as another one."""

import pytest
from town import Town

pytestmark = pytest.mark.anyio


async def test_the_citizen_goes_on_as_themselves(town: Town) -> None:
    """Core section 3.1.2.1: asked once; their address is masked, because others look over shoulders."""
    parks = await town.service()
    ada, _ = await town.citizen()
    await parks.enter(ada)

    shown = await ada.see(parks.address(prompt="select_account"))
    assert shown.name == "select-account"
    assert shown.buttons == ["continue", "other"]
    assert "a•••@e•••.org" in shown.text
    assert "ada@example.org" not in shown.html

    assert "code" in parks.answer(await ada.follow(await ada.press(shown, "continue")))


async def test_another_account_signs_in_and_is_not_asked_again(town: Town) -> None:
    """Who signs in during the interaction has chosen."""
    parks = await town.service()
    ada, _ = await town.citizen()
    bob = await town.person(email="bob@example.org")
    shown = await ada.see(parks.address(prompt="select_account"))

    answer = await ada.press(shown, "other")
    assert answer.headers["location"].startswith("/sign-in/")
    town.later(minutes=1)
    await ada.sign_in(bob)

    assert (await ada.see(f"/authorize?interaction={shown.hidden['interaction']}")).name == "consent"


async def test_a_choice_does_not_pass_to_the_next_person(town: Town) -> None:
    """R45: chosen by one account, not by whoever sits there later."""
    parks = await town.service()
    ada, _ = await town.citizen()
    shown = await ada.see(parks.address(prompt="select_account"))
    bob = await town.person(email="bob@example.org")
    await ada.sign_in(bob)
    town.later(minutes=1)
    late = await ada.see(parks.address(prompt="select_account"))

    await ada.press(shown, "continue")

    assert (await ada.see(f"/authorize?interaction={late.hidden['interaction']}")).name == "select-account"


async def test_cancel_is_offered(town: Town) -> None:
    """No page of an interaction is a dead end."""
    parks = await town.service()
    ada, _ = await town.citizen()

    shown = await ada.see(parks.address(prompt="select_account"))

    (cancel,) = [link for link in shown.links if link.startswith("/authorize/cancel")]
    assert parks.answer(await ada.get(cancel))["error"] == "access_denied"


async def test_silence_and_choice_do_not_go_together(town: Town) -> None:
    """Core section 3.1.2.1: `none` stands alone."""
    parks = await town.service()
    ada, _ = await town.citizen()

    answer = parks.answer(await ada.get(parks.address(prompt="none select_account")))

    assert answer["error"] == "invalid_request"
