"""Finds the programs that tests talk to, and installs the missing ones where it may (root on Debian)."""

import glob
import os
import shutil
import subprocess
import sys
from pathlib import Path

# What a test needs -> (any of these programs will do, the Debian packages that bring it)
PROGRAMS = {
    "PostgreSQL": (("initdb",), ("postgresql",)),
    "Redis": (("redis-server", "valkey-server"), ("redis-server",)),
    "Chromium": (("chromium", "chromium-browser", "google-chrome"), ("chromium",)),
    "Chromium's headless shell": (("chromium-headless-shell",), ("chromium-headless-shell",)),
    "Node.js": (("npm",), ("nodejs", "npm")),
    "SoftHSM": (("softhsm2-util",), ("softhsm2",)),
    "Apache's mod_auth_openidc": (("mod_auth_openidc.so",), ("apache2", "libapache2-mod-auth-openidc")),
}

# Client libraries in another language, installed with npm; and in Python, in an environment that is not ours.
JAVASCRIPT_CLIENTS = Path("tests/clients_js")
PYTHON_CLIENTS = Path("tests/clients_py")


def prepare(root: Path) -> dict[str, str]:
    """Make every program there is a need for available; return what is still missing and why."""
    absent = [name for name in PROGRAMS if not find(name)]
    if absent:
        _apt_install([package for name in absent for package in PROGRAMS[name][1]])
    missing = {name: _how_to_get(name) for name in absent if not find(name)}
    clients = root / JAVASCRIPT_CLIENTS
    if (clients / "package.json").exists() and "Node.js" not in missing and not _install_clients(clients):
        missing["the JavaScript clients"] = f"npm could not install {JAVASCRIPT_CLIENTS}."
    if not _install_python_clients(root / PYTHON_CLIENTS):
        missing["the Python clients"] = f"pip could not install {PYTHON_CLIENTS}/requirements.txt."
    return missing


def find(name: str) -> str | None:
    """The path of the program, looked for on the PATH and where Debian keeps PostgreSQL's own and Apache's modules."""
    for program in PROGRAMS[name][0]:
        if found := shutil.which(program):
            return found
        if beside := sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{program}")):
            return beside[-1]
        if (module := Path("/usr/lib/apache2/modules", program)).exists():
            return str(module)
    return None


def _how_to_get(name: str) -> str:
    return f"Install it (Debian: apt-get install {' '.join(PROGRAMS[name][1])}) and run this again."


def _apt_install(packages: list[str]) -> None:
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return
    print(f"Installing {', '.join(packages)} with apt-get ...", flush=True)
    # Run level 1 keeps the packages from starting servers of their own: tests start private ones.
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for command in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
        ended = subprocess.run(
            ["apt-get", "--quiet", "-o", "Dpkg::Use-Pty=0", *command], env=environment, stdin=subprocess.DEVNULL
        )
        if ended.returncode:
            print(f"apt-get {command[0]} ended with status {ended.returncode}", flush=True)


def _install_clients(clients: Path) -> bool:
    """Install what package-lock.json lists. The lock file never names a registry, so that any will do."""
    installed, lock = clients / "node_modules" / ".package-lock.json", clients / "package-lock.json"
    if installed.exists() and lock.exists() and installed.stat().st_mtime >= lock.stat().st_mtime:
        return True
    verb = "ci" if lock.exists() else "install"
    options = ["--ignore-scripts", "--no-audit", "--no-fund", "--omit-lockfile-registry-resolved"]
    print(f"Installing the JavaScript clients of {JAVASCRIPT_CLIENTS} ...", flush=True)
    ended = subprocess.run(["npm", verb, *options], cwd=clients, stdin=subprocess.DEVNULL)
    return ended.returncode == 0


def _install_python_clients(clients: Path) -> bool:
    """Install what their requirements.txt lists, and return at once when that has been done."""
    wanted = f"{clients}\n{(clients / 'requirements.txt').read_text()}"  # its programs name the place they were made at
    venv = clients / ".venv"
    stamp = venv / ".installed"
    if stamp.exists() and stamp.read_text() == wanted:
        return True
    print(f"Installing the Python clients of {PYTHON_CLIENTS} ...", flush=True)
    pip = [str(venv / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install", "-qq", "--no-input"]
    for command in (
        [sys.executable, "-m", "venv", "--clear", str(venv)],
        [*pip, "--require-hashes", "-r", str(clients / "requirements.txt")],
    ):
        if subprocess.run(command, stdin=subprocess.DEVNULL).returncode:
            return False
    stamp.write_text(wanted)
    return True
