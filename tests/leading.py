"""Where an answer of the provider leads: by a redirect, or by the page that follows a form (`data-page="onward"`)."""

from html import unescape
from re import findall, search

import httpx2


def led_to(answer: httpx2.Response) -> str:
    """The address, as it stands there; "" for an answer that leads nowhere."""
    if answer.is_redirect:
        return str(answer.headers["location"])
    return onward_in(answer.text) if answer.headers.get("content-type", "").startswith("text/html") else ""


def onward_in(page: str) -> str:
    """The one link of the page `onward`; "" on any other page."""
    if not search(r'<main [^>]*data-page="onward"', page):
        return ""
    [address] = findall(r'<a [^>]*rel="next"[^>]* href="([^"]+)"', page)
    return unescape(address)
