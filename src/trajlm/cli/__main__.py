"""``python -m trajlm.cli``."""

from trajlm.cli import main

main()
