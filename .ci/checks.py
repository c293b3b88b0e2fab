"""The checks over the code: each is a command; all run, whatever fails, and a summary comes last."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

PACKAGES = ("accounts", "identity", "oidc", "config", "migrations")
FAST = ("lint", "format", "types", "imports", "templates", "locales", "addresses")
"""Those of the inner loop."""


def commands(root: Path, binaries: Path) -> dict[str, Sequence[str] | Callable[[], list[str]]]:
    """Name -> a command line (status 0 is a pass), or a function that returns what is wrong."""
    python, here = str(binaries / "python"), root / ".ci"
    return {
        "lint": (str(binaries / "ruff"), "check"),
        "format": (str(binaries / "ruff"), "format", "--check"),
        "types": (str(binaries / "mypy"), "--strict", *PACKAGES),
        "imports": (str(binaries / "lint-imports"), "--no-logo"),
        "dependencies": (str(binaries / "deptry"), "."),
        "migrations": (python, str(here / "lint_migrations.py")),
        "templates": (python, str(here / "lint_templates.py")),
        "locales": (python, str(here / "lint_locales.py")),
        "conformance": (python, str(here / "conformance.py")),
        "addresses": lambda: registry_addresses(root),
    }


def run_all(root: Path, binaries: Path, only: Sequence[str] = ()) -> int:
    """Run the checks and return the exit status: 0 when all passed."""
    available = commands(root, binaries)
    if unknown := set(only) - set(available):
        print(f"No check named {', '.join(sorted(unknown))}. There are: {', '.join(available)}", file=sys.stderr)
        return 2
    results: dict[str, str] = {}
    for name in only or available:
        print(f"\n== {name} ==", flush=True)
        began = time.monotonic()
        passed = _passes(available[name], root)
        results[name] = f"{'ok' if passed else 'FAILED'} ({time.monotonic() - began:.1f} s)"
        print(f"{name}: {results[name]}", flush=True)
    print("\n== summary ==")
    for name, result in results.items():
        print(f"{name:14}{result}")
    failed = [name for name, result in results.items() if result.startswith("FAILED")]
    print(f"Checks: {len(results) - len(failed)} passed, {len(failed)} failed", flush=True)
    return 1 if failed else 0


def registry_addresses(root: Path) -> list[str]:
    """Lock files hold names, versions and hashes; which registry serves them is each machine's own matter."""
    problems = [
        f"{lock}:{number}: an address or a registry option"
        for lock in ("requirements.txt", "tests/clients_py/requirements.txt")
        for number, line in enumerate((root / lock).read_text().splitlines(), 1)
        if re.search(r"://|^-", line)
    ]
    for lock in root.glob("tests/**/package-lock.json"):
        if "node_modules" in lock.parts:
            continue
        locked = json.loads(lock.read_text()).get("packages", {})
        problems += [
            f"{lock.relative_to(root)}: {name} has an address" for name, it in locked.items() if "resolved" in it
        ]
    return problems


def _passes(check: Sequence[str] | Callable[[], list[str]], root: Path) -> bool:
    if callable(check):
        problems = check()
        print("\n".join(problems), flush=True)
        return not problems
    try:
        return subprocess.run(check, cwd=root, stdin=subprocess.DEVNULL).returncode == 0
    except OSError as problem:
        print(f"Could not run {check[0]}: {problem}")
        return False
