"""`python -m tap_medchat_swell`, and the console script."""

from __future__ import annotations

import gc


def main() -> None:
    """Run the command line."""
    # Imports leave no garbage, and looking for it takes a sixth of their time.
    gc.disable()
    from tap_medchat_swell.tap import TapMedchatSwell  # noqa: PLC0415 - only then

    TapMedchatSwell.cli()


if __name__ == "__main__":
    main()
