"""Entry point of ``ddbaudit`` and of ``python -m auditor``."""

import sys


def main() -> None:
    """Run the command line; the process ends with the documented exit code."""
    from auditor.cli import run_main

    sys.exit(run_main())


if __name__ == "__main__":
    main()
