"""The command line: every verb with the same name and the same options as in Python."""

from __future__ import annotations

import gc
import sys

# Importing torch makes millions of objects that stay: looking through them for rubbish every 700 new ones,
# as Python does by default, took a third of the time of a short run.
RUBBISH = (50_000, 20, 100)


def main() -> None:
    """Run the command line; a refusal is one line on standard error and exit code 2."""
    from tunesmith.errors import TunesmithError

    gc.set_threshold(*RUBBISH)
    _unbreakable_output()
    try:
        from tunesmith.cli.app import app

        app()
    except TunesmithError as error:
        from tunesmith.cli.drawing import complain

        complain(str(error))
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.exit(0)
    except OSError as error:
        from tunesmith.cli.drawing import complain

        complain(f"{error.strerror or error}: {error.filename or 'no file is named'}")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def _unbreakable_output() -> None:
    """A terminal of another encoding shows `?` instead of ending a run with a traceback."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure:
            reconfigure(errors="replace")
