"""`python -m tap_medchat_swell`, and the console script."""

from __future__ import annotations

from tap_medchat_swell.tap import TapMedchatSwell


def main() -> None:
    """Run the command line."""
    TapMedchatSwell.cli()


if __name__ == "__main__":
    main()
