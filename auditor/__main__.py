"""Entry point of ``ddbaudit`` and of ``python -m auditor``."""

import signal
import sys


def main() -> None:
    """Run the command line; the process ends with the documented exit code.

    Being told to end (a cancelled job, a stopped container) is an interrupt: what is finished is written.
    """
    from auditor.cli import run_main

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(run_main())


if __name__ == "__main__":
    main()
