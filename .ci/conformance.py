"""The tables of oidc/CONFORMANCE.md that the code itself knows: `--update` writes them, without it a drift fails."""

import ast
import re
import sys
from datetime import timedelta
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "oidc" / "CONFORMANCE.md"
BLOCK = re.compile(r"(<!-- (\w+): written by the code -->\n).*?(<!-- end -->)", re.DOTALL)
sys.path.insert(0, str(ROOT))

import msgspec  # noqa: E402 - after the path is set

from accounts.vault import Vault, VaultKeys  # noqa: E402
from config import policies  # noqa: E402
from config.settings import Settings, read_settings  # noqa: E402
from identity.session import SessionPolicy  # noqa: E402
from oidc.key_holder import SealedKeys  # noqa: E402
from oidc.protocol.client_metadata import ClientMetadata  # noqa: E402
from oidc.protocol.lifetimes import LONGEST  # noqa: E402
from oidc.protocol.metadata import discovery_document  # noqa: E402

ISSUER = "https://account.example.gov"


VAULT = Vault(VaultKeys(wrapping={1: bytes(32)}, current=1, blind_index=bytes(32), pepper=bytes(32)))


class Lifetime(msgspec.Struct, frozen=True):
    """How a duration is explained: to operators by its setting, to relying parties by the metadata `fields` they
    register and by what `more` they may send."""

    what: str
    setting: str = ""
    fields: tuple[str, ...] = ()
    more: str = ""


DESCRIBED = {
    "code": Lifetime("an authorization code, until it is redeemed", "lifetime.code"),
    "pushed_request": Lifetime("a pushed request, until a browser comes with it"),
    "access_token": Lifetime("an access token", "lifetime.access_token", ("access_token_lifetime",)),
    "id_token": Lifetime("an ID token", "lifetime.id_token", ("id_token_lifetime",)),
    "refresh_token": Lifetime(
        "a refresh token that is not used", "lifetime.refresh_token", ("refresh_token_lifetime",)
    ),
    "refresh_grace": Lifetime("a rotated refresh token, that answers once more with the same successor"),
    "grant": Lifetime("what a citizen agreed to lasts, however often it is used"),
    "waiting": Lifetime("a request from another device (RFC 8628, CIBA)", more="`requested_expiry` of a CIBA request"),
    "absolute": Lifetime(
        "a session", "session.absolute", ("default_max_age",), "`max_age` of a request: sign in again after so long"
    ),
    "idle": Lifetime("a session that is not used", "session.idle"),
    "fresh": Lifetime("a sign-in that is fresh enough to change the account", "session.fresh"),
}


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


def settings() -> Settings:
    """Those of a production deployment in which nothing but what must be set is set."""
    required = [("issuer", ISSUER), ("mail.url", "smtps://mail.example.gov"), ("mail.sender", "a@example.gov")]
    return read_settings(None, {}, required)


def metadata() -> str:
    """The discovery document of such a deployment."""
    ours = policies.provider_of(settings(), VAULT, SealedKeys(VAULT))
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
    """Every duration of the two policies; one that is not described fails, and so does a key or field that is none."""
    rows = ["| what | by default | setting | what a client says itself |", "|---|---|---|---|"]
    ours = settings()
    for policy in (policies.provider_of(ours, VAULT, SealedKeys(VAULT)).policy, SessionPolicy()):
        for name in policy.__struct_fields__:
            value = getattr(policy, name)
            if isinstance(value, timedelta):
                said = DESCRIBED[name]
                if said.setting:
                    section, _, key = said.setting.partition(".")
                    if getattr(getattr(ours, section), key) != value.total_seconds():
                        raise ValueError(f"{said.setting} does not set {name}")
                if not set(said.fields) <= set(ClientMetadata.__struct_fields__):
                    raise ValueError(f"no client can register all of {said.fields}")
                longest = f", at most {duration(getattr(LONGEST, name))}" if f"{name}_lifetime" in said.fields else ""
                own = "; ".join(filter(None, (", ".join(f"`{field}`" for field in said.fields) + longest, said.more)))
                setting = f"`{said.setting}`" if said.setting else "-"
                rows.append(f"| {said.what} | {duration(value)} | {setting} | {own or '-'} |")
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
