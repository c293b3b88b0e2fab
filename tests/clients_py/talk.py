"""How a party and its test talk: JSON lines. The test gives orders, then walks through the provider's pages."""

import json
import sys
from collections.abc import Callable
from typing import Any


def _say(what: Any) -> None:
    print(json.dumps(what), flush=True)


def visit(url: str) -> str:
    """Have somebody open an address; where their browser ended up outside the provider."""
    _say({"visit": url})
    landed: str = json.loads(sys.stdin.readline())
    return landed


def run(party: Callable[..., dict[str, Any]]) -> None:
    """Run a party: it gets its orders and returns what it found out."""
    _say({"result": party(**json.loads(sys.stdin.readline()))})
