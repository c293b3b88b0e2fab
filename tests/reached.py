"""How citizens of the town are reached: by mail, and by text message where there is a gateway."""

from typing import Any

import msgspec
from town import Shown, Town

from identity.text_guard import TextPolicy


def offer_texts(town: Town, **limits: Any) -> None:
    """As a deployment with a gateway."""
    policy = msgspec.structs.replace(town.house.identity_policy, text=TextPolicy(is_offered=True, **limits))
    town.house.identity_policy = policy


async def last_to(town: Town, to: str) -> Any:
    """The latest message there."""
    await town.work()
    return [message for message in town.post.sent if message.to == to][-1]


async def code_to(town: Town, to: str) -> str:
    """The latest code there."""
    await town.work()
    return [message.code for message in town.post.sent if message.to == to and message.code][-1] or ""


async def change(town: Town, browser: Any, path: str, **new: str) -> Shown:
    """Type a new contact and the code that it got; where that leads."""
    page = Shown(await browser.follow(await browser.press(await browser.see(path), "continue", **new)))
    code = (await last_to(town, *new.values())).code
    return Shown(await browser.follow(await browser.press(page, "continue", code=code)))
