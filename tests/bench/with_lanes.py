"""The `cube` command with another number of effects at once on each node: `with_lanes.py 4 deploy ...`."""

import sys

from cube.cli.main import main
from cube.manager import crew

if __name__ == "__main__":
    crew.LANES = int(sys.argv.pop(1))
    main()
