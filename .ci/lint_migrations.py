"""Migration lint: one line of history, each step explained, and no statement that stops the running release."""

import ast
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from alembic.script import Script

from migrations import apply

ROOT = Path(__file__).resolve().parent.parent
PROMISE = "Safe while the previous release runs:"
OURS = {"accounts", "identity", "oidc", "config"}
# Left out: what holds for a new table as well as for an old one is judged by the reviewer.
EXCLUDED = "prefer-robust-stmts,prefer-text-field,prefer-bigint-over-int"


def faults_of(script: Script) -> Iterator[str]:
    """What is wrong with the text of one migration."""
    documentation = script.module.__doc__ or ""
    paragraphs = [paragraph.strip() for paragraph in documentation.split("\n\n")]
    if len(paragraphs) < 2 or not paragraphs[1].startswith(PROMISE):
        yield f"the docstring's second paragraph begins with {PROMISE!r}"
    elif len(paragraphs[1]) < len(PROMISE) + 10 or "say why" in documentation or "say here" in documentation:
        yield "the docstring still has the template's words: say what changes and why it is safe"
    for node in ast.walk(ast.parse(Path(script.path).read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        for name in names:
            if name.split(".")[0] in OURS:
                yield f"imports {name}: our code changes and this file must not"


def history_faults(scripts: list[Script]) -> Iterator[str]:
    """One line, no forks: two heads are two developers who did not see each other."""
    heads = [script.revision for script in scripts if script.is_head]
    bases = [script.revision for script in scripts if script.is_base]
    if len(heads) != 1 or len(bases) != 1:
        yield f"the history is one line, but begins with {bases} and ends with {heads}"
    for script in scripts:
        if script.is_merge_point or script.is_branch_point:
            yield f"{script.revision}: the history forks here"


def squawk(scripts: list[Script]) -> int:
    """The PostgreSQL statements of all migrations but the first, which finds no rows and no running release."""
    program = str(Path(sys.executable).with_name("squawk"))
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for script in scripts[1:]:
            path = Path(folder, f"{script.revision}.sql")
            path.write_text(apply.sql(f"{script.down_revision}:{script.revision}"))
            files.append(str(path))
        if not files:
            return 0
        command = [program, "--reporter=gcc", "--pg-version=15.0", f"--exclude={EXCLUDED}", *files]
        return subprocess.run(command).returncode


def main() -> int:
    scripts = list(reversed(list(apply.history().walk_revisions())))
    count = 0
    for fault in history_faults(scripts):
        print(f"migrations: {fault}")
        count += 1
    for script in scripts:
        for fault in faults_of(script):
            print(f"{Path(script.path).relative_to(ROOT)}: {fault}")
            count += 1
    print(f"{len(scripts)} migrations read, {count} findings", flush=True)
    return 1 if count or squawk(scripts) else 0


if __name__ == "__main__":
    sys.exit(main())
