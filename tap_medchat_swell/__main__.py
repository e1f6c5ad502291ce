"""`python -m tap_medchat_swell`, and the console script."""

from __future__ import annotations

import gc
import signal
import sys


def main() -> None:
    """Run the command line."""
    if sys.stdout is None:
        sys.exit("Standard output is closed, so no records can be written.")
    # Imports leave no garbage, and looking for it takes a sixth of their time.
    gc.disable()
    try:
        from tap_medchat_swell.tap import TapMedchatSwell  # noqa: PLC0415 - only then
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)

    TapMedchatSwell.cli()


if __name__ == "__main__":
    main()
