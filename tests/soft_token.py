"""A PKCS #11 token without hardware: SoftHSM in a folder of its own. A process keeps the library it has once loaded, so
there is one folder for a process, with as many tokens as tests ask for."""

import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from uuid import uuid4

from servers import program

from oidc.hardware_token import TokenAccess

PIN = "2468"
LIBRARIES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
)


@functools.cache
def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="soft-token-"))
    (folder / "tokens").mkdir()
    settings = folder / "softhsm2.conf"
    settings.write_text(f"directories.tokendir = {folder / 'tokens'}\nobjectstore.backend = file\nlog.level = ERROR\n")
    os.environ["SOFTHSM2_CONF"] = str(settings)
    return folder


def new_token() -> TokenAccess:
    """A fresh token with a label of its own."""
    command = program("SoftHSM")
    folder, label = _folder(), f"identity {uuid4().hex[:8]}"
    options = ["--init-token", "--free", "--label", label, "--so-pin", "13579", "--pin", PIN]
    subprocess.run([command, *options], check=True, capture_output=True, env={**os.environ})
    assert folder.exists()
    return TokenAccess(next(path for path in LIBRARIES if Path(path).exists()), label, PIN)


def take_tokens_away() -> Path:
    """As if somebody pulled them out; the path to give to `put_back`."""
    aside = _folder() / "aside"
    shutil.move(_folder() / "tokens", aside)
    (_folder() / "tokens").mkdir()
    return aside


def put_tokens_back(aside: Path) -> None:
    """As if somebody put them in again."""
    shutil.rmtree(_folder() / "tokens")
    shutil.move(aside, _folder() / "tokens")
