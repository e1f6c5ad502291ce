"""`make sql Q="..."`: one query on a DuckDB file that a run has written."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import duckdb

DATABASE = Path(__file__).resolve().parent.parent / "output" / "demo.duckdb"


def main() -> None:
    """Print the rows that a query finds."""
    parser = argparse.ArgumentParser(description="Query a DuckDB file.")
    parser.add_argument("--database", type=Path, default=DATABASE)
    parser.add_argument("--schema", default="tap_medchat_swell")
    parser.add_argument("query", nargs="?", default="SHOW TABLES")
    given = parser.parse_args()
    if not given.database.is_file():
        parser.error(f"{given.database} does not exist: `make demo` writes output/demo.duckdb")
    try:
        with duckdb.connect(str(given.database), read_only=True) as connection:
            connection.execute(f'USE "{given.database.stem}"."{given.schema}"')
            print(connection.sql(given.query) or "Done.")
    except duckdb.Error as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
