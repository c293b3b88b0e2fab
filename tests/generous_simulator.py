"""`identity simulate` whose worker processes let anybody try as often as they like (generous_worker.py)."""

import sys
from pathlib import Path

COMMAND = (sys.executable, str(Path(__file__)), "simulate")

if __name__ == "__main__":
    from config import workers
    from config.cli import main

    workers.COMMAND = (sys.executable, str(Path(__file__).with_name("generous_worker.py")))
    main()
