"""`make studies`: run what is missing of every study of the five reports, then write their tables and pages.

`python studies/reports/run.py` goes through the study files in order. If all records are there, it says so, and
whether the committed table matches them; else it trains what is missing (`--workers N`, resumable). `--tiny` runs one
study of each report from scratch in its smallest profile, in a temporary folder, to see that the whole path works.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

import coverage

from genlab.study.study import Study

ONE_EACH = ("s0-beta1", "s1-adam", "s2-rates", "s3-training", "s4-vae")
TINY = "tiny"


def standing(file: Path) -> bool:
    """Print the status of a study; return whether all its records are there and its table matches them."""
    _, found = coverage.studied(file)
    title, runs = found.plan.title, len(found.plan.cells)
    if found.missing:
        print(f"{title}: {len(found.missing)} of {runs} runs are missing", flush=True)
        return False
    table = coverage.STUDIES / "results" / title / "table.csv"
    same = table.exists() and table.read_text("utf-8") == found.csv
    what = "the table matches them" if same else "the table does not match them and is rewritten"
    print(f"{title}: all {runs} records are there; {what}", flush=True)
    return same


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", nargs="*", help="names, such as s2-rates (default: all)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "--tiny", action="store_true", help="run one study of each report from scratch, in its smallest profile"
    )
    options = parser.parse_args()
    if options.tiny:
        for name in options.studies or ONE_EACH:
            with tempfile.TemporaryDirectory() as folder:
                study = Study.at(
                    coverage.STUDIES / f"{name}.yaml", profile=TINY, results=Path(folder) / "results", runs=folder
                )
                found = study.run(workers=options.workers)
                print(f"{found.plan.title}: {len(found.records)} runs, {len(found.verdicts)} verdicts", flush=True)
        return
    for file in coverage.files():
        if (not options.studies or file.stem in options.studies) and not standing(file):
            profile, _ = coverage.studied(file)
            Study.at(file, profile=profile).run(workers=options.workers)
    coverage.main()


if __name__ == "__main__":
    sys.exit(main())
