"""All rows of the comparison with others: see README.md beside this file.

python -m tests.benchmarks --torch-python PYTHON [--rows a,b] [--rounds 30] [--store]
"""

import argparse
import json
import pathlib
import subprocess
import sys

from tests.benchmarks import report
from tests.benchmarks.one_row import arguments
from tests.benchmarks.rows import ROWS

FOLDER = pathlib.Path(__file__).parent
RESULTS, README = FOLDER / "results.json", FOLDER / "README.md"


def measured(name, options):
    """Return the results of a row, from a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.one_row", name]
    command += ["--rounds", str(options.rounds), "--threads", str(options.threads)]
    if options.torch_python:
        command += ["--torch-python", options.torch_python]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def stored():
    """Return the stored rows, by name."""
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else {}


def store(rows):
    """Write the rows into results.json, in the order of ROWS, and README.md from all of them."""
    known = stored() | rows
    ordered = {name: known[name] for name in ROWS if name in known}
    RESULTS.write_text(json.dumps(ordered, indent=1, ensure_ascii=False) + "\n")
    README.write_text(report.readme(ordered))


def show(name, row):
    """Print what a row has measured."""
    print(f"\n{name}: {row['title']}; {row['versions']}; load {row['load']}")
    for loop, ms in row["ms"].items():
        ratio = row["ratios"].get(loop)
        beside = f", {report.shown(ratio)} times as long" if ratio else ""
        first = row["first call s"][loop]
        print(f"  {loop:38} {ms:10.4g} ms a {row['unit']}{beside}; first call {first:.3g} s")
    if row["limit"]:
        print(f"  limit {row['limit']['ms']:.4g} ms, {row['limit']['share']:.0%} of ours")
    for text, met in report.asked(row):
        print(f"  asked for: {text}: {'yes' if met else 'no'}", flush=True)


def main(words=None):
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--rows", default=",".join(ROWS), help=f"some of {', '.join(ROWS)}")
    parser.add_argument("--store", action="store_true", help="keep the results, write README.md")
    arguments(parser)
    options = parser.parse_args(words)
    names = options.rows.split(",")
    if unknown := [name for name in names if name not in ROWS]:
        parser.error(f"there is no row {', '.join(unknown)}; there are {', '.join(ROWS)}")
    before, found = stored(), {}
    for name in names:
        found[name] = measured(name, options)
        show(name, found[name])
        if options.store:
            store({name: found[name]})
    slower = report.regressions(found, before)
    print("\n" + ("\n".join(slower) or "Nothing is slower than stored beyond noise."))
    return int(bool(slower))


if __name__ == "__main__":
    sys.exit(main())
