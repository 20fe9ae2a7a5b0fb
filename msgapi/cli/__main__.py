"""`python -m msgapi.cli`: the same as the command `msgapi`."""

import sys

from . import main

sys.exit(main())
