"""`python -m cavesson`: the command line, also where the script `cavesson` is not on the path."""

from cavesson.cli.main import main

if __name__ == "__main__":
    main()
