"""The command line: the one place that makes a program of the parts.

`commands` has what can be typed, the modules beside it what is done then. They are imported when
they are needed: `--help` must not wait for a web framework.
"""

import os
import sys
from collections.abc import Sequence

from dscore.cli.errors import FAILED, INTERRUPTED, USAGE, CliError

PROGRAM = "dscore"


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one command and exits with its code: 0 ok, 1 failed, 2 usage, 3 partial."""
    code = run(sys.argv[1:] if arguments is None else arguments)
    if code == INTERRUPTED:
        # Threads may still wait for a server's answer, and a normal exit would wait for them.
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def run(arguments: Sequence[str]) -> int:
    """Runs one command; what went wrong is told in one line on stderr.

    Returns:
        The exit code.
    """
    from typer import Abort, TyperException

    from dscore.cli.commands import app
    from dscore.errors import ConfigError

    try:
        # A command's return value is its exit code; typer passes it through, None after --help.
        return app(list(arguments), prog_name=PROGRAM, standalone_mode=False) or 0
    except CliError as error:
        return _fail(str(error), error.code)
    except ConfigError as error:
        return _fail(str(error), USAGE)
    except TyperException as error:
        return _fail(_usage_sentence(error), USAGE)
    except Abort:
        return _fail("stopped", FAILED)
    except BrokenPipeError:
        # The reader (head, less) has seen enough. Python would complain once more at its exit.
        sys.stdout = None
        return FAILED


def _fail(sentence: str, code: int) -> int:
    print(f"{PROGRAM}: {sentence}", file=sys.stderr)
    return code


def _usage_sentence(error: Exception) -> str:
    context = getattr(error, "ctx", None)
    command = PROGRAM if context is None else context.command_path
    message = getattr(error, "format_message", error.__str__)()
    first = " ".join(message.split()).rstrip(".")
    return f"{first[:1].lower()}{first[1:]}; see {command} --help"
