"""``python -m emu.lab.replay FILE...``: replay records of a real kernel, and print what differs.

Exit status: 0 all agree, 1 some do not, 2 a record can't be read, or not all of it be played.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from textwrap import indent

from emu.arch import PORTS
from emu.lab.replay.player import play
from emu.lab.replay.record import RecordError, load_record


def main() -> int:
    """Replay the files that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m emu.lab.replay", description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="record, JSON")
    parser.add_argument(
        "--arch", choices=sorted(PORTS), action="append", help="port; may be repeated; default all"
    )
    options = parser.parse_args()
    return max(_replay(file, options.arch or sorted(PORTS)) for file in options.files)


def _replay(file: Path, ports: Sequence[str]) -> int:
    status = 0
    try:
        record = load_record(file)
        for arch in ports:
            outcome = play(record, arch=arch)
            status = max(status, 2 if outcome.unplayed else 1 if outcome.disagreements else 0)
            print(f"{file.stem} {arch}: {outcome}")
            for line in outcome.lines():
                print(indent(line, "  "))
    except RecordError as error:
        print(error, file=sys.stderr)
        return 2
    return status


if __name__ == "__main__":
    sys.exit(main())
