#!/usr/bin/env python3
"""Writes the GPU table of bench/README.md, between its markers, from row-*.json. Rows that FOLDER lacks stay as they are.

usage: bench/gpu_table.py FOLDER      (script/gpu_bench --table)
"""
import glob
import json
import os
import re
import sys

README = os.path.join(os.path.dirname(os.path.abspath(__file__)), "README.md")
BEGIN, END = "<!-- script/gpu_bench --table writes this -->\n", "<!-- end of the GPU table -->\n"
COLUMNS = "what", "lathe", "peer", "ratio", "bar"
HEAD = f"| # | {' | '.join(COLUMNS)} |\n|---|---|---|---|---|---|\n"


def place(row):
    return int(re.match(r"\d+", row).group()), row


def lines_of(path):
    measured = json.load(open(path))
    cells = ([measured["row"], *(cell[column] for column in COLUMNS)] for cell in measured["cells"])
    return measured["row"], "".join(f"| {' | '.join(line)} |\n" for line in cells)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    before, table, after = re.split(f"{re.escape(BEGIN)}|{re.escape(END)}", open(README).read())
    rows = {}
    for line in table.splitlines(keepends=True):
        if row := re.match(r"\| (\d+[a-z]?) \|", line):
            rows[row.group(1)] = rows.get(row.group(1), "") + line
    found = dict(map(lines_of, glob.glob(os.path.join(sys.argv[1], "row-*.json"))))
    if not found:
        sys.exit(f"bench/gpu_table.py: no row-*.json in {sys.argv[1]}")
    rows.update(found)
    body = "".join(rows[row] for row in sorted(rows, key=place))
    with open(README, "w") as out:
        out.write(before + BEGIN + HEAD + body + END + after)
    print(f"{README}: rows {', '.join(sorted(found, key=place))}")


if __name__ == "__main__":
    main()
