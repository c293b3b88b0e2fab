"""Prints the part of requirements.txt that one project needs, hashes and all: `hashed.py NAME < requirements.txt`.

The image needs what the service imports, not what tests and linters do. The list itself says who needs what ("via").
"""

import re
import sys


def needed_by(root: str, requirements: str) -> list[str]:
    """The blocks of every package that `root` needs, directly or not, and of `root` itself where it is listed."""
    blocks = {block.split("==")[0]: block for block in re.split(r"(?m)^(?=[a-zA-Z0-9])", requirements) if "==" in block}
    wanted_by = {name: set(re.findall(r"(?m)^    #(?: via|  ) +(\S+)$", block)) for name, block in blocks.items()}
    needed = {root}
    while found := {name for name, parents in wanted_by.items() if parents & needed} - needed:
        needed |= found
    return [block for name, block in blocks.items() if name in needed]


if __name__ == "__main__":
    chosen = needed_by(sys.argv[1], sys.stdin.read())
    if not chosen:
        sys.exit(f"requirements.txt lists nothing for {sys.argv[1]}")
    sys.stdout.write("".join(chosen))
