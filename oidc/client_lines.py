"""Which line of a TOML file of clients a field stands on: found by reading headers and keys, not by a second parser."""

import re

HEADER = re.compile(r"\s*\[\[?\s*client(?:\s*\.\s*\"?([A-Za-z0-9_-]+))?.*\]")
KEY = re.compile(r"""\s*(?:"([^"]+)"|'([^']+)'|([A-Za-z0-9_-]+))\s*[=.]""")
MESSAGE = re.compile(r"\(at line (\d+)")


class Lines:
    """Lines count from 1, clients from 0; client -1 is what stands before the first."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._first: dict[tuple[int, str], int] = {}
        self._headers: dict[int, int] = {}
        client, inner = -1, False
        for number, line in enumerate(text.splitlines(), start=1):
            if header := HEADER.match(line):
                inner = header[1] is not None
                if inner:
                    self._first.setdefault((client, header[1]), number)
                elif line.lstrip().startswith("[["):
                    client += 1
                    self._headers[client] = number
            elif not inner and (key := KEY.match(line)):
                self._first.setdefault((client, key[1] or key[2] or key[3]), number)

    def of(self, client: int, field: str) -> int | None:
        """The field's line, else that of the client's `[[client]]`."""
        return self._first.get((client, field)) or self._headers.get(client)

    def of_message(self, message: str) -> int | None:
        """The line that the TOML parser complains of."""
        found = MESSAGE.search(message)
        if found:
            return int(found[1])
        return self._text.count("\n") + 1 if "end of document" in message else None
