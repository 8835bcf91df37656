"""`python -m lungmask_cli` is the same program as `lungmask`."""

from lungmask_cli.cli.app import main

if __name__ == "__main__":
    main()
