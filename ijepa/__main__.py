"""`python -m ijepa` is the command `ijepa`."""

import sys

from ijepa.cli import main

if __name__ == "__main__":
    sys.exit(main())
