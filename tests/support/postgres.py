"""A PostgreSQL cluster for the tests, in a temporary folder, on loopback.

`initdb` refuses to run as root: then the cluster belongs to the user `postgres` of Debian's package.
"""

import os
import shutil
import socket
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from engine.ledger.database import open_ledger
from engine.ledger.schema import metadata

_BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
_HOW = "PostgreSQL is missing: apt-get install postgresql-15 (or put initdb and pg_ctl on PATH)"


def find_binaries() -> Path:
    """Find the newest server of this machine; fails with the way to install one."""
    if _BINARIES:
        return _BINARIES[-1]
    on_path = shutil.which("initdb")
    assert on_path is not None, _HOW
    return Path(on_path).resolve().parent


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Cluster:
    """A server that can be stopped, started and copied."""

    def __init__(self, folder: Path, port: int, address: str = "127.0.0.1", prefix: tuple[str, ...] = ()) -> None:
        self.folder = folder
        self.port = port
        self.address = address
        self._prefix = prefix  # such as `ip netns exec NAME`
        self._bin = find_binaries()
        self._ledger: str | None = None  # what `make_ledger` copies

    def make(self) -> None:
        give_away(self.folder.parent)
        self._run("initdb", "-D", str(self.folder), "-U", "mailrun", "-A", "trust", "--no-sync", "-E", "UTF8")
        with (self.folder / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write(f"listen_addresses = '{self.address}'\nport = {self.port}\n")
            file.write("unix_socket_directories = ''\nmax_connections = 60\n")
            # No test cuts the power: what a killed server wrote is in the memory of the kernel.
            file.write("fsync = off\nfull_page_writes = off\n")
        with (self.folder / "pg_hba.conf").open("a", encoding="utf-8") as file:
            file.write("host all all samenet trust\nhost replication all samenet trust\n")

    def start(self) -> None:
        log = self.folder / "server.log"
        self._run("pg_ctl", "-D", str(self.folder), "-l", str(log), "-w", "-t", "60", "start")

    def stop(self, mode: str = "fast") -> None:
        """Stop it; `immediate` is a crash."""
        self._run("pg_ctl", "-D", str(self.folder), "-m", mode, "-w", "stop")

    def listen(self, address: str) -> None:
        """Move to another address of this machine; takes effect with the next start."""
        self.address = address
        with (self.folder / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write(f"listen_addresses = '{address}'\n")

    def promote(self) -> None:
        self._run("pg_ctl", "-D", str(self.folder), "-w", "promote")

    def copy_to(self, folder: Path, port: int, *, standby: bool) -> "Cluster":
        """Make a copy by pg_basebackup: a backup, or a standby that follows."""
        arguments = ["-h", self.address, "-p", str(self.port), "-U", "mailrun", "-D", str(folder), "-c", "fast"]
        self._run("pg_basebackup", *arguments, *(["-R"] if standby else []), "--no-sync")
        copy = Cluster(folder, port, self.address, self._prefix)
        with (folder / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write(f"port = {port}\nunix_socket_directories = ''\n")
        return copy

    def dump(self, url: str, file: Path) -> None:
        self._run("pg_dump", "-Fc", "-f", str(file), url.replace("+psycopg", ""))

    def restore(self, url: str, file: Path, *options: str) -> None:
        self._run("pg_restore", *options, "-d", url.replace("+psycopg", ""), str(file))

    def empty(self, url: str) -> None:
        """Remove all rows and keep the tables."""
        names = ["alembic_version", *(table.name for table in reversed(metadata.sorted_tables))]
        for name in names:
            self._psql(f"DELETE FROM {name}", url.rpartition("/")[2])  # noqa: S608 - our own tables

    def configure(self, line: str) -> None:
        """Change a setting that a reload applies."""
        with (self.folder / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")
        self._run("pg_ctl", "-D", str(self.folder), "reload")

    def require_password(self, password: str) -> None:
        """Give the user `mailrun` a password, which all clients except the cluster's own tools need from now on."""
        self.change_password(password)
        (self.folder / "pg_hba.conf").write_text(
            "host postgres all samenet trust\nhost all all samenet scram-sha-256\n"
        )
        self._run("pg_ctl", "-D", str(self.folder), "reload")

    def change_password(self, password: str) -> None:
        self._psql(f"ALTER USER mailrun PASSWORD '{password}'")

    def disconnect_all(self, url: str) -> None:
        """End every connection to a database."""
        name = url.rpartition("/")[2]
        self._psql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")  # noqa: S608 - ours

    def make_database(self) -> str:
        """Make an empty database; returns its URL."""
        name = f"ledger_{uuid.uuid4().hex[:12]}"
        self._psql(f"CREATE DATABASE {name}")
        return self.url_of(name)

    def make_ledger(self) -> str:
        """Make a ledger without rows; returns its URL. Its tables are made once for each cluster."""
        if self._ledger is None:
            self._ledger = self.make_database()
            open_ledger(self._ledger).close()
        return self.copy_database(self._ledger)

    def copy_database(self, url: str) -> str:
        """Copy a database that has no sessions; returns the copy's URL."""
        name = f"ledger_{uuid.uuid4().hex[:12]}"
        self._psql(f"CREATE DATABASE {name} TEMPLATE {url.rpartition('/')[2]}")
        return self.url_of(name)

    def url_of(self, database: str) -> str:
        return f"postgresql://mailrun@{self.address}:{self.port}/{database}"

    def _psql(self, statement: str, database: str = "postgres") -> None:
        at = ["-h", self.address, "-p", str(self.port), "-U", "mailrun", "-d", database]
        self._run("psql", *at, "-q", "-v", "ON_ERROR_STOP=1", "-c", statement)

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._prefix, *as_other(), str(self._bin / program), *arguments]
        done = subprocess.run(
            command, check=False, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd="/"
        )
        assert done.returncode == 0, f"{program}: {done.stdout.decode()}"


def as_other() -> list[str]:
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []


def give_away(folder: Path) -> None:
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")


@contextmanager
def run_cluster(address: str = "127.0.0.1", prefix: tuple[str, ...] = ()) -> Iterator[Cluster]:
    """Run a cluster for as long as the block lasts."""
    with TemporaryDirectory(prefix="mailrun-pg-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        cluster = Cluster(Path(folder) / "main", free_port(), address, prefix)
        cluster.make()
        cluster.start()
        try:
            yield cluster
        finally:
            cluster.stop("immediate")
