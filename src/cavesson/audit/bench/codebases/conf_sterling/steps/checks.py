# called between steps; a pipeline that runs on broken tables is worse than none
from .generate import FEATURES


class BrokenTable(Exception):
    pass


def check_tables(tables, params):
    for name, table in tables.items():
        missing = [c for c in FEATURES if c not in table.columns]
        if missing:
            raise BrokenTable(f"{name} lacks {missing}")
        if table[FEATURES].isna().any().any():
            raise BrokenTable(f"{name} has empty cells")
        if not table["x1"].between(0, 1).all():
            raise BrokenTable(f"x1 of {name} leaves [0, 1]")
    if "y" in tables["unlabelled"].columns:
        raise BrokenTable("unlabelled rows have labels")
    for name in ("train", "calibration", "unlabelled"):
        if len(tables[name]) != params["sizes"][name]:
            raise BrokenTable(f"{name} has {len(tables[name])} rows, not {params['sizes'][name]}")


def check_rows(rows):
    if not rows["covered"].isin([True, False]).all():
        raise BrokenTable("coverage is not yes or no")
    if (rows["half_width"] < 0).any():
        raise BrokenTable("an interval has a negative width")
