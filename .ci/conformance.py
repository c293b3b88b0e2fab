"""The tables of oidc/CONFORMANCE.md that the code itself knows: `--update` writes them, without it a drift fails."""

import ast
import re
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "oidc" / "CONFORMANCE.md"
BLOCK = re.compile(r"(<!-- (\w+): written by the code -->\n).*?(<!-- end -->)", re.DOTALL)
sys.path.insert(0, str(ROOT))

import msgspec  # noqa: E402 - after the path is set

from accounts.vault import Vault, VaultKeys  # noqa: E402
from config import house  # noqa: E402
from config.settings import read_settings  # noqa: E402
from identity.session import SessionPolicy  # noqa: E402
from oidc.key_holder import SealedKeys  # noqa: E402
from oidc.protocol.metadata import discovery_document  # noqa: E402

ISSUER = "https://account.example.gov"


def main() -> int:
    written = PAGE.read_text("utf-8")
    tables = {"metadata": metadata, "lifetimes": lifetimes, "errors": errors}
    current = BLOCK.sub(lambda block: f"{block[1]}\n{tables[block[2]]()}\n\n{block[3]}", written)
    if "--update" in sys.argv:
        PAGE.write_text(current, "utf-8")
    elif current != written:
        print(
            "oidc/CONFORMANCE.md says something else than the code: run `.venv/bin/python .ci/conformance.py --update`"
        )
        return 1
    print("oidc/CONFORMANCE.md agrees with the code")
    return 0


def provider() -> Any:
    """The provider of a production deployment in which nothing but what must be set is set."""
    required = [("issuer", ISSUER), ("mail.url", "smtps://mail.example.gov"), ("mail.sender", "a@example.gov")]
    vault = Vault(VaultKeys(wrapping={1: bytes(32)}, current=1, blind_index=bytes(32), pepper=bytes(32)))
    return house._provider(read_settings(None, {}, required), vault, SealedKeys(vault))


def metadata() -> str:
    """The discovery document of such a deployment."""
    ours = provider()
    document = discovery_document(ours.capabilities, ours.endpoints)
    rows = ["| member | value |", "|---|---|"]
    for name, value in document.items():
        if value is not None:
            shown = (
                ", ".join(map(str, value)) if isinstance(value, list | tuple) else msgspec.json.encode(value).decode()
            )
            rows.append(f"| `{name}` | {shown.strip(chr(34)) or 'none'} |")
    return "\n".join(rows)


def lifetimes() -> str:
    """Every duration of the two policies, with the reason that stands beside it in the code."""
    rows = ["| what | how long by default |", "|---|---|"]
    for policy in (provider().policy, SessionPolicy()):
        for name in policy.__struct_fields__:
            value = getattr(policy, name)
            if isinstance(value, timedelta):
                rows.append(f"| {type(policy).__name__}.{name} | {duration(value)} |")
    return "\n".join(rows)


def duration(value: timedelta) -> str:
    seconds = int(value.total_seconds())
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def errors() -> str:
    """The error codes by the specification that defines each, as the code groups them by its comments."""
    lines = (ROOT / "oidc" / "protocol" / "errors.py").read_text("utf-8").splitlines()
    groups: dict[str, list[str]] = {}
    source = ""
    for line in lines:
        if line.startswith("# "):
            source = line.removeprefix("# ")
        elif match := re.fullmatch(r"[A-Z_]+ = (\"[a-z_]+\")", line):
            groups.setdefault(source, []).append(f"`{ast.literal_eval(match[1])}`")
    return "\n".join(["| defined by | codes |", "|---|---|", *(f"| {s} | {', '.join(c)} |" for s, c in groups.items())])


if __name__ == "__main__":
    raise SystemExit(main())
