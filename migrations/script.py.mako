"""${message.replace("_", " ").capitalize()}: say here what changes for a reader of the data.

Safe while the previous release runs: say why. It reads and writes these tables during the whole roll-out.
Next: the revision that finishes what this one begins, and when it may run. Or leave this line out.
"""

# The rules, held by the migration lint and squawk. Delete this comment.
#
# Expand, then contract. This release adds what the next one needs; what nobody reads any more goes one release later.
# - A new column is nullable, or has a constant server_default. NOT NULL comes in a later migration, when every row has
#   a value: ADD CONSTRAINT ... CHECK (column IS NOT NULL) NOT VALID, then VALIDATE CONSTRAINT.
# - A column or table is never renamed and never changes its type: add the new one, write both, move, drop the old.
# - An index on a table that has rows is built without stopping writers:
#       with op.get_context().autocommit_block():
#           op.create_index("ix_table_column", "table", ["column"], postgresql_concurrently=True)
# - A foreign key is added NOT VALID and validated in a later migration: op.create_foreign_key(..., postgresql_not_valid=True)
# - Moving data is no migration's work when the table is large: the worker does it, in small transactions.
# - No import of the application's code: it changes, and this file must not. Write the tables' shape down here.
# - SQLite takes the same file: change an existing table in `with op.batch_alter_table("table") as table:`.
# - There is no way back (`downgrade`): a roll-back of the release works on the new shape, because it was safe to run.

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}
revision: str = ${repr(up_revision)}
down_revision: str | None = ${repr(down_revision)}
branch_labels: str | Sequence[str] | None = ${repr(branch_labels)}
depends_on: str | Sequence[str] | None = ${repr(depends_on)}


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    raise NotImplementedError("Roll back the release, not the database: the previous one runs on this shape too.")
