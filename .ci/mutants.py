"""Changes the rules of oidc/protocol one small way at a time and looks whether a test notices: `make mutants`.

Names of modules may be given. What no test noticed has to stand in tests/mutants.md, with the reason; anything else
ends it with status 1. Takes half an hour.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MUTMUT = Path(sys.executable).with_name("mutmut")
LIST = ROOT / "tests" / "mutants.md"
RULES = (
    "authorization_rules",
    "claims",
    "client_assertion",
    "dpop",
    "end_session",
    "pkce",
    "prompt",
    "request_object",
    "token_request",
)


def main(modules: list[str]) -> int:
    os.chdir(ROOT)
    chosen = [f"oidc.protocol.{module}.*" for module in modules or RULES]
    subprocess.run([MUTMUT, "run", "--max-children", str(os.cpu_count() or 1), *chosen], check=True)
    known, unknown = LIST.read_text("utf-8"), 0
    for place, line in survivors():
        is_known = f"- `{place}`: `{line}`" in known
        unknown += not is_known
        print(f"{'known' if is_known else 'NEW  '}  {place}: {line}")
    print(f"{unknown} survivors do not stand in tests/mutants.md")
    return 1 if unknown else 0


def survivors() -> Iterator[tuple[str, str]]:
    """Where each is, and the line as it was changed."""
    for result in _said("results").splitlines():
        name, _, outcome = result.strip().partition(": ")
        if outcome == "survived":
            shown = _said("show", name).splitlines()
            changed = (line[1:].strip() for line in shown if line.startswith("+") and not line.startswith("+++"))
            yield name.removeprefix("oidc.protocol.").partition("__mutmut")[0].replace(".x_", "."), next(changed, "")


def _said(*arguments: str) -> str:
    return subprocess.run([MUTMUT, *arguments], check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
