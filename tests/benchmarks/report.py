"""What the measured rows say: against the stored ones, against what was asked for, as a table."""

HEAD = """# How fast the course is, and beside what

    python -m tests.benchmarks --torch-python PYTHON [--rows a,b] [--rounds 30] [--store]

One process of ours and one of PyTorch's for each row, whose loops take turns; the same weights and
batches, the first losses compared before anything is timed; as many threads on both sides. A ratio
is how many times as long a peer took as our fastest loop, taken round by round: the median and, in
brackets, the quartiles. The limit is what the operations of one unit (borders counted in full)
would take at the speed of a 2048 x 2048 matrix product in TensorFlow, measured in the same run.
First calls compile; they are in `results.json`, with the versions. PyTorch needs an environment of
its own: `python -m venv DIR`, `DIR/bin/pip install torch numpy`. Without --store the run is
compared with the stored one: a ratio whose upper quartile lies below the stored lower one is a
regression, is named, and makes the exit status 1; on a busy machine ratios shift, too, so look at
the loads first. A new row is a file in `rows/` and a line in
`rows/__init__.py`.

This file is written by --store, from `results.json`.
"""
COLUMNS = ("row", "ours", "limit", "peers: how many times as long they take", "asked for")
TORCH = ("PyTorch", "torch.")


def regressions(new, stored):
    """Return what has become slower than the stored run, as sentences.

    Args:
        new, stored: row name -> results of `protocol.measure`. Rows and peers that only one of
            them has, and rows of another machine, are passed over.
    """
    found = []
    for name in new.keys() & stored.keys():
        if new[name]["machine"] != stored[name]["machine"]:
            continue
        before = stored[name]["ratios"]
        for peer, quartiles in new[name]["ratios"].items():
            if peer in before and quartiles[2] < before[peer][0]:
                loads = [max(rows[name]["load"]) for rows in (new, stored)]
                found.append(
                    f"{name}: slower than stored beyond noise: {peer} took {shown(quartiles)} "
                    f"times as long as ours, stored {shown(before[peer])} (load {loads[0]:g}, "
                    f"stored {loads[1]:g})."
                )
    return sorted(found)


def shown(quartiles):
    """Return "median [quartile, quartile]"."""
    low, median, high = quartiles
    return f"{median:.3g} [{low:.3g}, {high:.3g}]"


def asked(row):
    """Return what was asked of a row and what came, a list of (text, whether it is reached)."""
    medians = {peer: quartiles[1] for peer, quartiles in row["ratios"].items()}
    torch = [median for peer, median in medians.items() if peer.startswith(TORCH)]
    if torch:
        medians["fastest PyTorch"] = min(torch)
    found = [
        (f"{peer} {medians[peer]:.3g} of {least:g}", medians[peer] >= least)
        for peer, least in row["targets"].items()
        if peer in medians
    ]
    if row["at most ms"]:
        ours = row["ms"][row["ours"]]
        found.append((f"{ours:.3g} of {row['at most ms']:g} ms", ours <= row["at most ms"]))
    if medians:
        fastest = min(medians.values())
        found.append((f"fastest peer {fastest:.3g} of 1", fastest >= 1))
    return found


def readme(results):
    """Return the text of README.md."""
    lines = [HEAD, "| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    for row in results.values():
        lines.append("| " + " | ".join(_cells(row)) + " |")
    lines.append(
        "\n| row | machine | rounds x units | load before, after | date |\n|---|---|---|---|---|"
    )
    for name, row in results.items():
        load = ", ".join(f"{value:g}" for value in row["load"])
        machine = f"{row['machine']}, {', '.join(row['features'])}"
        counts = f"{row['rounds']} x {row['units a round']}"
        lines.append(f"| {name} | {machine} | {counts} | {load} | {row['date']} |")
    return "\n".join(lines) + "\n"


def _cells(row):
    ours, limit = row["ours"], row["limit"]
    others = [f"{name} {row['ms'][name]:.4g}" for name in row["ms"] if name.startswith("ours, ")]
    times = f"**{row['ms'][ours]:.4g} ms** a {row['unit']}" + (f" ({ours[6:]})" if others else "")
    if limit:
        limit = (
            f"{limit['ms']:.4g} ms: {limit['share']:.0%} of ours ({limit['GFLOP']:.4g} GFLOP at "
            f"{limit['GEMM GFLOP/s']:.0f} a second)"
        )
    ratios = sorted(row["ratios"].items(), key=lambda item: item[1][1])
    peers = "<br>".join(f"{peer}: {shown(quartiles)}" for peer, quartiles in ratios)
    goals = "<br>".join(f"{text}: {'yes' if met else '**no**'}" for text, met in asked(row))
    own = "".join(
        f"<br>{name[6:]}: {row['ms'][name]:.4g} ms"
        for name in row["ms"]
        if name.startswith("ours, ") and name != ours
    )
    return row["title"], times + own, limit or "-", peers, goals
