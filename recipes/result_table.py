"""A table of runs that grows run by run, so that a recipe goes on where it was interrupted."""

import json
import time

from provenance import provenance


class ResultTable:
    """Lists of measures, one entry for each seed, in a JSON file under data/results.

    Attributes:
        table: the whole content, nested dicts; a run's measures stand in the dict that its keys
            lead to.
    """

    def __init__(self, path, facts, *, seeds):
        """Read the file, if there is one.

        Args:
            path: of the file.
            facts: dict of JSON values that every run shares, such as the number of images.
            seeds: the seeds of an arm's runs, in their order.

        Raises:
            SystemExit: if the file was made with other facts.
        """
        self.path, self.facts, self.seeds = path, facts, list(seeds)
        self.table = json.loads(path.read_text()) if path.exists() else {}
        stored = {name: self.table[name] for name in facts if name in self.table}
        if stored and stored != facts:
            raise SystemExit(f"{path} was made with {stored}, not {facts}: delete it first.")
        self.started = time.perf_counter() - 60 * self.table.get("minutes", 0)

    def entry(self, keys):
        """Return the dict that these keys lead to; made where it is missing."""
        entry = self.table
        for key in keys:
            entry = entry.setdefault(key, {})
        return entry

    def missing(self, keys, seed):
        """Return whether an arm's run with this seed is yet to be done."""
        return len(self.entry(keys).get("diverged", ())) <= self.seeds.index(seed)

    def add(self, runs):
        """Append the measures of runs, a dict of keys -> dict, and write the file."""
        for keys, measures in runs.items():
            for name, value in measures.items():
                value = round(value, 4) if isinstance(value, float) else value
                self.entry(keys).setdefault(name, []).append(value)
        self.table |= provenance(seed=self.seeds, started=self.started, **self.facts)
        self.path.write_text(json.dumps(self.table, indent=1) + "\n")
        print(runs, flush=True)
