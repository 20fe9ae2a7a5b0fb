"""`python -m msgapi.cli`: the same program as the command `msgapi`."""

import sys

from . import main

sys.exit(main())
