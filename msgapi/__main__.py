"""`python -m msgapi`: the same program as the command `msgapi`."""

import sys

from .cli import main

sys.exit(main())
