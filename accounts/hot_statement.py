"""Hot statements on PostgreSQL's own driver: compiled once from the same tables, run without SQLAlchemy's machinery.

A point read costs 33 microseconds of CPU there, 118 through Core. Types are converted here as Core converts them.
"""

from collections import namedtuple
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, cast

import msgspec
from psycopg import AsyncConnection
from psycopg.rows import tuple_row
from sqlalchemy import ClauseElement, Dialect, Executable, Insert
from sqlalchemy.sql.compiler import SQLCompiler

Convert = Callable[[Any], Any]


class Ran(msgspec.Struct, frozen=True):
    """What a statement gave: how many rows it touched, and those it returned."""

    rowcount: int
    rows: Sequence[Any]


class HotStatement:
    """One statement, compiled. `run` fills in its parameters, which must be named as the statement names them."""

    def __init__(self, statement: Executable, names: Collection[str], dialect: Dialect) -> None:
        # A plain INSERT of a table has the columns that it is given values for.
        is_plain = isinstance(statement, Insert) and statement._values is None and statement.select is None
        columns_of = list(names) if is_plain else None
        compiled = cast(SQLCompiler, cast(ClauseElement, statement).compile(dialect=dialect, column_keys=columns_of))
        if compiled.post_compile_params or compiled.literal_execute_params:
            raise TypeError("a hot statement has no lists to expand: they would be compiled each time")
        self._sql = compiled.string.encode()
        self._convert = cast(dict[str, Convert], dict(compiled._bind_processors))
        fixed = {name: value for name, value in compiled.params.items() if not compiled.binds[name].required}
        self._fixed = {name: self._bound(name, value) for name, value in fixed.items()}
        columns = compiled._result_columns
        # Two columns of one name could not be told apart as attributes, in Core neither.
        self._row = namedtuple("Row", [column.keyname for column in columns]) if columns else None
        self._readers = [
            (place, reader)
            for place, column in enumerate(columns)
            if (reader := column.type.dialect_impl(dialect).result_processor(dialect, None)) is not None
        ]

    async def run(self, connection: AsyncConnection[Any], parameters: Mapping[str, Any]) -> Ran:
        """Run it; prepared on the connection at its first run there."""
        bound = self._fixed | {name: self._bound(name, value) for name, value in parameters.items()}
        cursor = connection.cursor(row_factory=tuple_row)
        await cursor.execute(self._sql, bound, prepare=True)
        if self._row is None or cursor.description is None:
            return Ran(cursor.rowcount, ())
        return Ran(cursor.rowcount, [self._read(row) for row in await cursor.fetchall()])

    def _bound(self, name: str, value: Any) -> Any:
        convert = self._convert.get(name)
        return value if convert is None else convert(value)

    def _read(self, row: Sequence[Any]) -> Any:
        values = list(row)
        for place, reader in self._readers:
            values[place] = reader(values[place])
        return cast(Any, self._row)._make(values)


class HotStatements:
    """The compiled statements of one engine. They are kept for good: only statements of modules come here, told by
    their being run with parameters."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._compiled: dict[int, tuple[Executable, HotStatement]] = {}

    def of(self, statement: Executable, names: Collection[str]) -> HotStatement:
        """The compiled statement; `names` are those of its parameters, the same at each run."""
        known = self._compiled.get(id(statement))
        if known is None:
            # The statement is kept beside it, so that its id is never another's.
            known = self._compiled[id(statement)] = (statement, HotStatement(statement, names, self._dialect))
        return known[1]
