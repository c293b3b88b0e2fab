"""Writes the next migration: `python3 .ci/setup.py migration SLUG`, e.g. `session_acr`."""

import re
import subprocess
import sys
from pathlib import Path

from sqlalchemy import create_engine

from migrations import apply


def main(arguments: list[str]) -> None:
    if len(arguments) != 1 or not re.fullmatch(r"[a-z][a-z0-9_]{1,31}", arguments[0]):
        sys.exit("Usage: python3 .ci/setup.py migration SLUG    (lower case words joined by _, e.g. session_acr)")
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        apply.upgrade(connection)
        apply.new_revision(arguments[0], connection)
    ruff = Path(sys.executable).with_name("ruff")
    subprocess.run([ruff, "format", "--quiet", *Path(apply.__file__).parent.glob("versions/*.py")], check=True)
    print("Now read it, write its docstring, and delete the comment with the rules.")


if __name__ == "__main__":
    main(sys.argv[1:])
