"""The version of our tables, from the first day, and the steps between versions."""

from collections.abc import Callable, Sequence

from sqlalchemy import Connection, Engine, insert, inspect, select, update

from automl_xfer.errors import StorageError
from automl_xfer.study.locking import creation_lock
from automl_xfer.study.tables import Base, SchemaRow

Migration = Callable[[Connection], None]

MIGRATIONS: tuple[Migration, ...] = ()
"""In order: the first makes version 2 out of version 1, and so on."""


def migrate(engine: Engine, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Make our tables, or bring them to the version of this code, wholly or not at all.

    Raises StorageError when the database was written by a newer version.
    """
    latest = 1 + len(migrations)
    with creation_lock(engine), engine.begin() as connection:
        version = schema_version(connection)
        if version is None:
            Base.metadata.create_all(connection)
            connection.execute(insert(SchemaRow).values(id=1, version=latest))
            return
        if version > latest:
            raise StorageError(
                f"this study database has version {version}, and this automl-xfer knows versions "
                f"up to {latest}; upgrade automl-xfer or name another database with --storage"
            )
        for migration in migrations[version - 1 :]:
            migration(connection)
        if version < latest:
            connection.execute(update(SchemaRow).values(version=latest))


def schema_version(connection: Connection) -> int | None:
    """The version of our tables in this database; None where there are none."""
    if not inspect(connection).has_table(SchemaRow.__tablename__):
        return None
    return connection.execute(select(SchemaRow.version)).scalar_one_or_none()
