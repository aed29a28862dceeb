"""`python -m freeal_hf` is `freeal-hf`."""

from freeal_hf.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
