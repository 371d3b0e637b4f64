"""Limits on files from outside: a small file can unpack to more than a disk holds, or name a cell beyond all memory.

The operator sets them (`[limits]` of mailrun.toml, or the environment). A campaign cannot, because its author may have
chosen the file as well.
"""

from typing import NoReturn

from pydantic import BaseModel, ConfigDict, Field

from engine.errors import DataError

MEGABYTE, GIGABYTE = 10**6, 10**9
# Up to this size any ratio is allowed: unpacking takes seconds, and lists with many equal columns have high ratios.
RATIO_FLOOR = GIGABYTE


class ReadLimits(BaseModel):
    """`[limits]`: how large a file from outside may be.

    100 GB are 100 million rows of a kilobyte. Lists of addresses unpack to 10 to 50 times their size; gzip reaches
    1,032 times at most, Zstandard 30,000. 40 MB are the largest message that SES accepts, 16,384 columns are as many
    as Excel has, and 40 million cells are all rows that Excel has, of 38 columns.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    unpacked_gb: int = Field(
        default=100,
        ge=1,
        le=1_000_000,
        description="GB that one compressed file, workbook, Parquet or Arrow file may unpack to",
    )
    ratio: int = Field(
        default=500, ge=10, le=1_000_000, description="how many times its own size a file may unpack to, beyond 1 GB"
    )
    line_mb: int = Field(default=40, ge=10, le=1_000, description="MB of one line or cell")
    columns: int = Field(default=16_384, ge=1, le=1_000_000, description="columns of one file")
    batch_mb: int = Field(
        default=8_000,
        ge=100,
        le=1_000_000,
        description="MB of memory for one Parquet row group, one Arrow batch, or an Arrow stream",
    )
    cells: int = Field(
        default=40_000_000, ge=1_000, le=10**11, description="cells of one sheet, from the first to the last"
    )
    # fastexcel 0.21 takes 88 bytes a cell of 8 letters (300,000 rows of 8 columns: 211 MB), so 40 million are 3.5 GB.
    workbook_mb: int = Field(
        default=4_000, ge=200, le=1_000_000, description="MB of memory for the process that reads a workbook"
    )
    workbook_seconds: int = Field(
        default=900, ge=1, le=86_400, description="seconds of CPU time for the process that reads a workbook"
    )

    @property
    def line_bytes(self) -> int:
        """The longest line or cell."""
        return self.line_mb * MEGABYTE

    def check_unpacked(self, unpacked: int, packed: int, name: str) -> None:
        """Check what a file unpacks to, or has unpacked to so far.

        Args:
            unpacked: bytes; of columns of equal values, which take next to none, at least one a value.
            packed: the file's own bytes.
            name: as errors show it.

        Raises:
            DataError: it is more than is allowed.
        """
        if unpacked > self.unpacked_gb * GIGABYTE:
            refuse(f"the file unpacks to more than {self.unpacked_gb:,} GB", name, "unpacked_gb")
        if unpacked > RATIO_FLOOR and unpacked > self.ratio * packed:
            refuse(f"the file unpacks to more than {self.ratio:,} times its size", name, "ratio")

    def check_columns(self, count: int, name: str) -> None:
        """Check the number of columns.

        Raises:
            DataError: there are more than are allowed.
        """
        if count > self.columns:
            refuse(f"the file has more than {self.columns:,} columns", name, "columns")

    def check_batch(self, size_bytes: int, name: str) -> None:
        """Check what is decoded at once.

        Raises:
            DataError: it is more than is allowed.
        """
        if size_bytes > self.batch_mb * MEGABYTE:
            what = f"one row group or batch of the file takes more than {self.batch_mb:,} MB of memory"
            refuse(what, name, "batch_mb", "write the file with smaller row groups, or ")

    def refuse_line(self, name: str) -> NoReturn:
        """Refuse a line or cell that is too long.

        Raises:
            DataError: always.
        """
        refuse(f"a line or cell is longer than {self.line_mb:,} MB", name, "line_mb")


def refuse(what: str, name: str, key: str, instead: str = "") -> NoReturn:
    """Raise an error that names the limit that was exceeded, and the setting that raises it.

    Raises:
        DataError: always.
    """
    setting = f"[limits] {key} in mailrun.toml, or MAILRUN_LIMITS_{key.upper()},"
    raise DataError(what, where=name, remedy=f"check where the file is from; {instead}{setting} raises the limit")


DEFAULT_LIMITS = ReadLimits()
