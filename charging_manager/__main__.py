"""``python -m charging_manager`` is the same program as ``charging_manager``."""

import sys

from charging_manager.cli.main import main

sys.exit(main())
