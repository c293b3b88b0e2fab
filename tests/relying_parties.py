"""Relying parties that others wrote: whole services that listen, and scripts that talk JSON lines (clients_js/talk.mjs,
clients_py/talk.py). Each runs as a process of its own, in Node.js or in a Python environment that is not ours."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx2
from machine import JAVASCRIPT_CLIENTS, PYTHON_CLIENTS
from party import BYE, Visitor
from servers import missing, program
from simulated import CALLBACK

ROOT = Path(__file__).parents[1]
JAVASCRIPT, PYTHON = ROOT / JAVASCRIPT_CLIENTS, ROOT / PYTHON_CLIENTS
APACHE = ROOT / "tests" / "clients_apache"


def command(script: str) -> list[str]:
    """What runs this script. Skips where the libraries are not installed; in CI that is a failure."""
    if script.endswith(".conf"):
        program("Apache's mod_auth_openidc")
        return [shutil.which("apache2") or "/usr/sbin/apache2", "-DFOREGROUND", "-f", str(APACHE / script)]
    if script.endswith(".mjs"):
        program("Node.js")
        if not (JAVASCRIPT / "node_modules").exists():
            missing("the JavaScript clients")
        return ["node", str(JAVASCRIPT / script)]
    python = PYTHON / ".venv" / "bin" / "python"
    if not python.exists():
        missing("the Python clients")
    return [str(python), str(PYTHON / script)]


def play(script: str, visitor: Visitor, **orders: Any) -> dict[str, Any]:
    """Run a script to its end; the visitor goes where it sends a browser."""
    orders = {"issuer": visitor.simulator.issuer, "redirect_uri": CALLBACK, "bye": BYE, **orders}
    with subprocess.Popen(
        command(script), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as party:
        assert party.stdin is not None
        assert party.stdout is not None
        assert party.stderr is not None
        party.stdin.write(json.dumps(orders) + "\n")
        party.stdin.flush()
        for line in party.stdout:
            said = json.loads(line)
            if "result" in said:
                result: dict[str, Any] = said["result"]
                return result
            party.stdin.write(json.dumps(visitor.follow(said["visit"])) + "\n")
            party.stdin.flush()
        raise AssertionError(party.stderr.read())


class Service:
    """A service that listens at `address`, and what it wrote."""

    def __init__(self, address: str, log: Path) -> None:
        self.address = address
        self._log = log

    def found(self, answer: httpx2.Response) -> Any:
        """The JSON that its page shows."""
        assert answer.status_code == 200, (answer.status_code, answer.text[-1500:], self.said())
        assert answer.text.startswith("{"), (answer.text[-1500:], self.said())
        return answer.json()

    def said(self) -> str:
        """The end of its log."""
        return self._log.read_text()[-3000:]


@contextmanager
def served(script: str, port: int, **environment: str) -> Iterator[Service]:
    """Start a service at this port, and end it afterwards. `environment` is ISSUER, CLIENT_ID, CLIENT_SECRET."""
    with TemporaryDirectory(prefix="identity-party-") as folder:
        log = Path(folder, "log")
        if script.endswith(".conf"):
            Path(folder).chmod(0o755)  # Apache reads its files as another user
            shutil.copytree(APACHE / "pages", folder, dirs_exist_ok=True)
        told = {**os.environ, **environment, "PORT": str(port), "FOLDER": folder}
        with log.open("w") as written:
            process = subprocess.Popen(
                command(script), stdout=written, stderr=written, stdin=subprocess.DEVNULL, env=told, cwd=folder
            )
        service = Service(f"http://localhost:{port}", log)
        try:
            until_it_answers(process, service)
            yield service
        finally:
            process.terminate()
            process.wait(20)


def until_it_answers(process: "subprocess.Popen[bytes]", service: Service) -> None:
    """Wait for the service's first answer, for as long as its process lives."""
    with httpx2.Client() as http:
        while True:
            try:
                http.get(service.address, timeout=30)
                return
            except httpx2.TransportError:
                assert process.poll() is None, service.said()
                time.sleep(0.05)
