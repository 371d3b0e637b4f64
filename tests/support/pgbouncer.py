"""A PgBouncer in front of a cluster, on loopback."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from support.postgres import Cluster, as_other, free_port, give_away
from support.world import wait_until

SETTINGS = """\
[databases]
{database} = host={cluster.address} port={cluster.port} user=mailrun
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
default_pool_size = {size}
"""


@contextmanager
def run_pgbouncer(cluster: Cluster, url: str, mode: str, *, size: int = 3) -> Iterator[str]:
    """Run it in front of a database; yields the URL of the database through it."""
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    assert program is not None, "PgBouncer is missing: apt-get install pgbouncer"
    port, database = free_port(), url.rpartition("/")[2]
    with TemporaryDirectory(prefix="mailrun-pgbouncer-") as folder:
        settings = Path(folder) / "pgbouncer.ini"
        settings.write_text(SETTINGS.format(cluster=cluster, database=database, port=port, mode=mode, size=size))
        give_away(Path(folder))
        give_away(settings)
        process = subprocess.Popen([*as_other(), program, "-q", str(settings)], stderr=subprocess.DEVNULL)
        try:
            wait_until(lambda: is_open(port) or process.poll() is not None)
            yield f"postgresql://mailrun@127.0.0.1:{port}/{database}"
        finally:
            process.terminate()
            process.wait()


def is_open(port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
