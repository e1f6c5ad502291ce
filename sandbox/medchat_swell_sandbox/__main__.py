"""Entry point of ``python -m medchat_swell_sandbox``."""

from medchat_swell_sandbox.cli import main

main()
