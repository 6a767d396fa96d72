"""What can be wrong with a database, in our words."""

from carillon.errors import CarillonError, Transient


class DatabaseUnknown(CarillonError):
    """Nothing here speaks to a database of this kind."""

    def __init__(self, kind: str) -> None:
        extra = " Install carillon-voice[postgres]." if kind.startswith("postgresql") else ""
        super().__init__(
            f"storage.url names a database of the kind {kind!r}, whose driver is not installed.{extra} It may be "
            "sqlite or postgresql+psycopg."
        )


class DatabaseBusy(Transient):
    """No connection came free in time, or others would not stop writing."""

    def __init__(self) -> None:
        super().__init__("The database is busy. Try again in a moment.")


class DatabaseUnreachable(Transient):
    """The database server does not answer, or has closed the connection: it stops, starts, or moves."""

    def __init__(self) -> None:
        super().__init__("The database cannot be reached. Try again in a moment.")


class DatabaseRefused(CarillonError):
    """The database server does not let us in: a wrong name, a wrong password, no such database."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"The database {name} lets nobody in by what storage.url says: {reason}")


class DatabaseServed(CarillonError):
    """Another server works on the database: both would deliver every event."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"Another carillon server works on the database {name}. Stop it first; to help it, run `carillon worker`."
        )


class DatabaseBarred(Transient):
    """The database cannot be read or written where it lies: rights, a full disk, a folder in its place."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"The database {path} cannot be used: {reason}.")


class DatabaseDamaged(CarillonError):
    """The database's file is not what SQLite wrote: it was cut, overwritten, or the disk lost something of it."""

    def __init__(self, path: str) -> None:
        super().__init__(
            f"The database {path} is damaged, or no database. Stop the server, then put {path} from a backup in its "
            f"place and remove {path}-wal and {path}-shm; root.key stays. `carillon doctor` says more."
        )


class NotCommitted(Transient):
    """The database could not keep what was written: nothing of it is there."""

    def __init__(self) -> None:
        super().__init__("The database could not keep the change. Look at the server's disk, then try again.")


class CommitUnconfirmed(Transient):
    """The database did not answer a commit, so nobody knows whether it took it: look before doing it again."""

    def __init__(self) -> None:
        super().__init__("The database did not say whether it kept the change. Look whether it is there.")
