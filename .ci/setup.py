"""Sets the project up and runs it, with the standard library alone: `python3 .ci/setup.py COMMAND`.

The Makefile and CI call this file; nothing here may need an installed package.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
BIN = VENV / "bin"
PYTHON = BIN / "python"
STAMP = VENV / ".installed"

USAGE = """Usage: python3 .ci/setup.py COMMAND [ARGUMENT ...]

  install    make .venv with everything in it, the command .venv/bin/identity too
  demo       install, then start the product with two sample services and an inbox
  test       install, find or install the servers that tests talk to, run the tests (arguments go to pytest)
  check      install, then run every check over the code, or those named
  quick      install, then run the checks and tests that need nothing but Python, in a minute and a half
  bench      install, then measure the CPU time of each operation
  timing     install, then measure whether answers or their time tell which addresses have an account
  stuffing   install, then let machines try leaked passwords, and count what they and citizens got
  walks      install, then walk through the pages at random: `walks COUNT`
  mutants    install, then look whether a test notices each small change of the protocol's rules: `mutants MODULE ...`
  migration  write the next migration from what the tables lack: `migration SLUG`
  messages   bring the translators' files up to date with the texts in code and templates
"""


def install() -> None:
    """Make `.venv` what requirements.txt and pyproject.toml say; return at once when it already is."""
    wanted = _fingerprint()
    found = STAMP.read_text() if STAMP.exists() else ""
    if found == wanted and PYTHON.exists() and (BIN / "identity").exists():
        return
    moved = found and found.splitlines()[0] != str(ROOT)  # its scripts name the place where it was made
    if moved or not PYTHON.exists():
        _make_venv()
    pip = (PYTHON, "-m", "pip", "--disable-pip-version-check", "install", "-qq", "--no-input")
    print("Installing the packages of requirements.txt into .venv ...", flush=True)
    run(*pip, "--require-hashes", "-r", ROOT / "requirements.txt")
    run(*pip, "--no-deps", "--no-build-isolation", "--editable", ROOT)
    STAMP.write_text(wanted)
    print("Installed: .venv/bin/identity", flush=True)


def demo(arguments: Sequence[str]) -> None:
    """Become the demo, so that Ctrl-C reaches it alone."""
    install()
    _become(BIN / "identity", "demo", *arguments)


def test(arguments: Sequence[str]) -> None:
    """Run the tests; a server that is missing and cannot be installed is named, and in CI is a failure."""
    import machine

    install()
    missing = machine.prepare(ROOT)
    for name, reason in missing.items():
        print(f"\n*** NOT RUN: the tests that need {name}. {reason} ***\n", flush=True)
    if missing and os.environ.get("CI") == "true":
        sys.exit(f"CI runs every test, and cannot without: {', '.join(missing)}.")
    chosen = arguments or ("-n", "2", "--dist", "loadfile", "--no-loadscope-reorder", "--durations=20")
    _become(PYTHON, "-m", "pytest", *chosen)


def check(arguments: Sequence[str]) -> None:
    """Run every check (or those named) and end with a summary."""
    import checks

    install()
    sys.exit(checks.run_all(ROOT, BIN, arguments))


def quick(arguments: Sequence[str]) -> None:
    """The inner loop: the fast checks, and every test that neither starts a program nor talks to a server."""
    import checks

    install()
    if checks.run_all(ROOT, BIN, checks.FAST):
        sys.exit("A check failed; the tests were not run.")
    alone = "not services and not programs and not walks"
    _become(PYTHON, "-m", "pytest", "-q", "-m", alone, *(arguments or ("-n", "2", "--dist", "loadfile")))


def bench(arguments: Sequence[str]) -> None:
    """Measure; not part of the tests, because it takes minutes and wants the machine for itself."""
    _long_command("bench", arguments)


def timing(arguments: Sequence[str]) -> None:
    """Measure for some twenty minutes; `--samples=300` for a first look."""
    _long_command("timing", arguments)


def stuffing(arguments: Sequence[str]) -> None:
    """Simulate an attack for some minutes; not a test, because it has figures for an answer."""
    _long_command("stuffing", arguments)


def walks(arguments: Sequence[str]) -> None:
    """Walk at random for longer than the tests do, from a new seed each time; a walk that fails is made short."""
    install()
    os.environ["WALKS"] = arguments[0] if arguments else "500"
    walk = ("tests/identity/test_random_walks.py", "--override-ini=faulthandler_timeout=0", "--show-capture=no", "-rP")
    _become(PYTHON, "-m", "pytest", "-q", *walk)


def mutants(arguments: Sequence[str]) -> None:
    """Change the rules, all of them or those of some modules; half an hour."""
    install()
    _become(PYTHON, ROOT / ".ci" / "mutants.py", *arguments)


def messages(arguments: Sequence[str]) -> None:
    """Write new texts into the translators' files and take the unused ones out."""
    install()
    _become(PYTHON, ROOT / ".ci" / "lint_locales.py", "--update", *arguments)


def migration(arguments: Sequence[str]) -> None:
    """Write the next migration's file."""
    install()
    _become(PYTHON, ROOT / ".ci" / "new_migration.py", *arguments)


def run(*command: str | Path) -> None:
    """Run one step with its output streamed, and end with its status when it fails."""
    ended = subprocess.run([str(part) for part in command], cwd=ROOT, stdin=subprocess.DEVNULL)
    if ended.returncode:
        sys.exit(f"Failed with status {ended.returncode}: {' '.join(str(part) for part in command)}")


def _long_command(name: str, arguments: Sequence[str]) -> None:
    import machine

    install()
    for program, reason in machine.prepare(ROOT).items():
        print(f"\n*** Not measured: what needs {program}. {reason} ***\n", flush=True)
    _become(PYTHON, ROOT / "tests" / "bench" / f"{name}.py", *arguments)


def _become(*command: str | Path) -> None:
    """Replace this process, so that signals and the exit status are those of the command itself."""
    os.chdir(ROOT)
    sys.stdout.flush()
    os.execv(str(command[0]), [str(part) for part in command])


def _fingerprint() -> str:
    content = b"".join((ROOT / name).read_bytes() for name in ("requirements.txt", "pyproject.toml"))
    return f"{ROOT}\n{hashlib.sha256(content).hexdigest()}\n"


def _make_venv() -> None:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        sys.exit(
            f"This Python {version} cannot make a virtual environment: its venv module is a package of its own.\n"
            f"On Debian and Ubuntu: apt-get install python{version}-venv"
        )
    print(f"Making .venv with Python {version} ...", flush=True)
    shutil.rmtree(VENV, ignore_errors=True)  # a half-made one has no pip
    run(sys.executable, "-m", "venv", VENV)


COMMANDS: dict[str, Callable[[Sequence[str]], None]] = {
    "install": lambda arguments: install(),
    "demo": demo,
    "test": test,
    "check": check,
    "quick": quick,
    "bench": bench,
    "timing": timing,
    "stuffing": stuffing,
    "walks": walks,
    "mutants": mutants,
    "messages": messages,
    "migration": migration,
}


def main(arguments: Sequence[str]) -> None:
    if sys.version_info < (3, 11):  # noqa: UP036 - whichever python3 is there runs this file
        sys.exit(f"Python 3.11 or newer is needed; {sys.executable} is {sys.version.split()[0]}.")
    if not arguments or arguments[0] not in COMMANDS:
        sys.exit(USAGE)
    COMMANDS[arguments[0]](arguments[1:])


if __name__ == "__main__":
    main(sys.argv[1:])
