"""Opens and clicks by people are counted beside all opens and clicks.

Earlier versions did not tell machines apart: their opens and clicks count as those of people, as events do whose agent
is not known.
"""

import sys
import zlib
from array import array

from alembic import op
from sqlalchemy import Column, Integer, and_, column, select, table, update

revision = "0013"
down_revision = "0012"

_BIT_OF = {64: 4096, 128: 8192}  # opened, clicked -> by people


def upgrade() -> None:
    """Add the columns, and set the new flags of rows that were opened or clicked."""
    for name in ("opened_by_people", "clicked_by_people"):
        op.add_column("feedback", Column(name, Integer, nullable=False, server_default="0"))
    names = ("run", "lease", "flags", "opened", "clicked", "opened_by_people", "clicked_by_people")
    feedback = table("feedback", *map(column, names))
    connection = op.get_bind()
    keys = select(feedback.c.run, feedback.c.lease).where((feedback.c.opened > 0) | (feedback.c.clicked > 0))
    for run, lease in connection.execute(keys).all():
        mine = and_(feedback.c.run == run, feedback.c.lease == lease)
        flags = connection.execute(select(feedback.c.flags).where(mine)).scalar_one()
        copied = {"opened_by_people": feedback.c.opened, "clicked_by_people": feedback.c.clicked}
        connection.execute(update(feedback).where(mine).values(flags=_add_people(flags), **copied))


def _add_people(packed: bytes) -> bytes:
    flags = array("H", zlib.decompress(packed))
    if sys.byteorder == "big":
        flags.byteswap()
    for index, bits in enumerate(flags):
        flags[index] = bits | sum(added for bit, added in _BIT_OF.items() if bits & bit)
    if sys.byteorder == "big":
        flags.byteswap()
    return zlib.compress(flags.tobytes(), 1)
