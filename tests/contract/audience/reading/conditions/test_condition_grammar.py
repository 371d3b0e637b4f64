"""`[audience] where` is judged word by word before Polars sees it: nothing is opened, and nothing is executed."""

from pathlib import Path

import polars as pl
import pytest

from engine.audience.reading.conditions.conditions import columns_in
from engine.errors import DataError

COLUMNS = ["n", "t", "d", "l"]
# Ways to a file or a URL: %s is one.
HOSTILE = [
    "n IN (SELECT n FROM read_csv('%s'))",
    "n > (SELECT 1 FROM read_csv('%s'))",
    "EXISTS (SELECT * FROM read_parquet('%s'))",
    "exists(FROM '%s')",
    "n in (fRoM read_ipc('%s'))",
    "n IN (SELECT/**/n/* FROM */FROM/**/read_ndjson('%s'))",
    "n IN -- (\n (SELECT n FROM read_json('%s'))",
    "((((((n IN (((SELECT n FROM scan_csv('%s'))))))))))",
    "n IN (WITH x AS (SELECT * FROM '%s') SELECT n FROM x)",
    "n IN (TABLE '%s')",
    "n IN (VALUES (1)) AND n IN (SELECT n FROM read_csv('%s'))",
    "n = 1) UNION SELECT * FROM read_csv('%s') WHERE (1 = 1",
    "n = 1) UNION ALL (SELECT * FROM '%s'",
    "n = 1\n) OR n IN (SELECT n FROM read_csv('%s')\n",
    "n = ANY (SELECT n FROM read_csv('%s'))",
    "n <> ALL (SELECT n FROM read_csv('%s'))",
    "read_csv('%s')",
    "read_csv('%s').n = 1",
    "\"read_csv\"('%s') = 1",
    "`read_csv`('%s') = 1",
    "lower(read_csv('%s')) = 'x'",
    "CASE WHEN (SELECT 1 FROM read_csv('%s')) THEN 1 END = 1",
    "CAST((SELECT n FROM read_csv('%s')) AS INTEGER) = 1",
    "n BETWEEN (SELECT n FROM read_csv('%s')) AND 3",
    "n IN (1, (SELECT n FROM read_csv('%s')))",
    "l[(SELECT 1 FROM read_csv('%s'))] = 1",
    "EXTRACT(YEAR FROM (SELECT d FROM read_csv('%s'))) = 1",
    "SUBSTRING(t FROM (SELECT n FROM read_csv('%s'))) = 'x'",
    "t = 'x\\' OR n IN (SELECT n FROM read_csv('%s')) --'",
    "t = '''' OR n IN (SELECT n FROM read_csv('%s'))",
    "t = e'\\'' OR n IN (SELECT n FROM read_csv('%s'))",
    "t = $$x$$ OR n IN (SELECT n FROM read_csv('%s'))",
    "n = 1; SELECT * FROM read_csv('%s')",
    "ＳＥＬＥＣＴ * FROM read_csv('%s')",  # noqa: RUF001 - letters of full width
    "(n) IN (SELECT n FROM read_csv('%s'))",
    "lower(t) OVER (ORDER BY (SELECT n FROM read_csv('%s'))) = 'x'",
    "lower(t) FILTER (WHERE EXISTS (SELECT * FROM read_csv('%s'))) = 'x'",
    "COLUMNS('.*') IN (SELECT n FROM read_csv('%s'))",
]
PLACES = ["%s/secret.csv", "http://127.0.0.1:9/x.csv", "hf://datasets/x/y.csv", "file://%s/secret.csv", "s3://other/x"]


@pytest.mark.parametrize("template", HOSTILE)
def test_a_query_or_table_function_is_refused_unread(
    template: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Polars is not called at all, so nothing can be opened, and the answer is the same for what is there or not."""
    called: list[str] = []
    for name in ("sql_expr", "sql", "SQLContext", "select"):
        monkeypatch.setattr(pl, name, lambda *args, **_: called.append(str(args)))
    (tmp_path / "secret.csv").write_text("n,canary\n1,2\n")
    for place in PLACES:
        with pytest.raises(DataError) as caught:
            columns_in(template.replace("%s", place.replace("%s", str(tmp_path))), COLUMNS)
        assert not called
        assert "canary" not in str(caught.value)
        assert ", line " in caught.value.where
