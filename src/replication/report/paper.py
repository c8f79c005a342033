"""The numbers that the paper prints, in data/paper: its tables as it prints them, and its text."""

import pandas as pd

from replication import paths


def table(name):
    """A file of data/paper, of strings: a table as the paper prints it, or what goes with the tables."""
    return pd.read_csv(paths.PAPER / f"{name}.csv", dtype=str, keep_default_na=False)


def numbers():
    """The paper's tables, Figure 3 and text as one frame of strings, a row for each printed or drawn number.

    Returns:
        A frame with key, where, subject, quantity, unit, printed, source (printed or drawn), network and against: the
        networks that the number is about, by their names in params.yaml, or NETWORK/METHOD/BITS for a file.
    """
    table2 = table("table2")
    names = table2.architecture + ", " + table2.compression + ", " + table2.bits + " bit"
    tables = [
        table("table1").rename(columns={"layer": "subject"}).assign(where="Table 1", network=""),
        table2.drop(columns=["architecture", "compression"]).assign(where="Table 2", subject=names),
        table("table3").rename(columns={"architecture": "subject"}).assign(where="Table 3"),
        table("figure3").rename(columns={"panel": "where", "point": "subject"}),
    ]
    found = pd.concat([*map(_long, tables), table("text").rename(columns={"statement": "subject"})])
    found = found.fillna({"against": "", "source": "printed"})
    found.loc[(found.quantity == "ratio") & (found.against == ""), "against"] = "alexnet"
    found.insert(0, "key", found["where"] + "/" + found.subject + "/" + found.quantity)
    return found.reset_index(drop=True)


def _long(printed):
    """A table as the paper prints it, with the units in its header, as a row for each cell."""
    about = [name for name in ("where", "subject", "network", "against", "source") if name in printed]
    cells = printed.melt(about, var_name="header", value_name="printed", ignore_index=False).sort_index(kind="stable")
    cells[["quantity", "unit"]] = cells.header.str.extract(r"([^(]+?)(?: \((.+)\))?$").fillna("")
    return cells[cells.printed != ""].drop(columns="header")


def cited():
    """Values from the paper's other numbers or from its references, by (subject, quantity)."""
    found = table("cited").set_index(["subject", "quantity"])
    numbers = pd.to_numeric(found.value, errors="coerce").astype(object)
    return found.assign(value=numbers.fillna(found.value))
