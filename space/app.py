"""The app of a Space on the Hub. It starts the web app of the package `freeal-hf`."""

from freeal_hf.web.__main__ import main

if __name__ == "__main__":
    main()
