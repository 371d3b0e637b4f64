"""The file for node_exporter's textfile collector: replaced in one step, so that a reader never sees a part of it.

One file has the figures of all campaigns of the ledger, whichever command writes it: a campaign's last success is never
lost. A folder gets one file for what belongs to no campaign, and one file for each campaign, which only commands of
that campaign and readers of the whole ledger write; no two files have the same sample.
"""

import errno
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from tempfile import NamedTemporaryFile

from engine.errors import ConfigurationError
from engine.metrics.exposition import write_text
from engine.metrics.samples import Sample

COMMON = "mailrun.prom"


def write_metrics(place: Path, samples: Iterable[Sample], *, campaign: str) -> None:
    """Write the samples to a file, or into a folder.

    Args:
        place: a folder that exists, or a file.
        samples: of one command and its ledger.
        campaign: of the command; its samples alone are written into a folder, or those of all where it is empty.

    Raises:
        ConfigurationError: it cannot be written.
    """
    try:
        files: Mapping[Path, Iterable[Sample]] = {_find_target(place): list(samples)}
        if place.is_dir():
            files = {place / name: some for name, some in _divide(samples, campaign)}
        for path, some in files.items():
            _replace(path, write_text(some))
    except (OSError, ValueError, RuntimeError) as error:  # a name with NUL, and links in a circle
        raise ConfigurationError(
            f"the file of metrics cannot be written: {getattr(error, 'strerror', None) or error}",
            where=str(place),
            remedy="name a file, or a folder that exists and can be written, in MAILRUN_METRICS_FILE",
        ) from None


def _find_target(place: Path) -> Path:
    """Return the file to replace: a link stays, and what it leads to is replaced.

    Raises:
        OSError: it is a device or a pipe, which must not be replaced by a file.
    """
    target = place.resolve() if place.is_symlink() else place
    if target.exists() and not target.is_file() and not target.is_dir():
        raise OSError(errno.EINVAL, "it is a device or a pipe")
    return target


def _divide(samples: Iterable[Sample], campaign: str) -> Iterator[tuple[str, list[Sample]]]:
    found: dict[str, list[Sample]] = {}
    for sample in samples:
        labels = dict(zip(sample.metric.labels, sample.labels, strict=True))
        name = labels.get("campaign", "")
        if not name or not campaign or name == campaign:
            found.setdefault(f"mailrun-{name}.prom" if name else COMMON, []).append(sample)
    yield from found.items()


def _replace(path: Path, text: bytes) -> None:
    with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        try:
            file.write(text)
            file.flush()
            os.fchmod(file.fileno(), 0o644)  # node_exporter is another user
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
