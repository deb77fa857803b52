"""The command line: the one place that makes a program of the parts.

`commands` has what can be typed, the modules beside it what is done then. They are imported when
they are needed: `--help` must not wait for a web framework, nor `startup` for anything.
"""

import os
import sys
from collections.abc import Sequence

from dscore.cli import startup
from dscore.cli.errors import FAILED, INTERRUPTED, USAGE, CliError

# Known to type checkers: `typing` itself would be one of the large imports.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from pydantic import ValidationError

PROGRAM = "dscore"


def main(arguments: Sequence[str] | None = None) -> "NoReturn":
    """Runs one command and exits with its code: 0 ok, 1 failed, 2 usage, 3 partial."""
    words = sys.argv[1:] if arguments is None else arguments
    startup.begin(words)
    try:
        code = _run_as_program(words)
    except KeyboardInterrupt:  # a second one: the first has been told of, or is about to be
        code = INTERRUPTED
    # All is written. A normal exit would tear the interpreter down, which takes a fifth of a short
    # command's time, and wait for threads that wait for a server's answer.
    os._exit(code)


def run(arguments: Sequence[str]) -> int:
    """Runs one command; what went wrong is told in one line on stderr.

    Returns:
        The exit code.
    """
    try:
        return _run(arguments)
    except CliError as error:
        return _fail(str(error), error.code)
    except BrokenPipeError:
        raise  # an OSError, and no fault
    except KeyboardInterrupt:
        return _fail("stopped", INTERRUPTED)
    except ImportError as error:
        if not (error.name or "").startswith(f"{PROGRAM}."):
            raise
        # Of a clone after `git pull`, where the extension is of an older version, or not built yet.
        remedy = "run `make setup` in a clone, or install dscore-server again"
        return _fail(f"its extension does not fit it ({error.msg}): {remedy}")
    except UnicodeError as error:
        return _fail(f"the encoding of this system lacks a character: {error}; try LC_ALL=C.UTF-8")
    except OSError as error:
        return _fail(f"cannot go on: {(error.strerror or str(error)).lower()}")


def _run(arguments: Sequence[str]) -> int:
    from typer import Abort, TyperException

    from dscore.cli import commands, power  # noqa: F401 -- each puts its commands on the app
    from dscore.cli.app import app
    from dscore.cli.completion import answer
    from dscore.errors import ConfigError

    answer(os.environ)
    try:
        # A command's return value is its exit code; typer passes it through, None after --help.
        return app(_decoded(arguments), prog_name=PROGRAM, standalone_mode=False) or 0
    except ConfigError as error:
        # One line each: a file is mended once, not once for each of its problems.
        raise CliError(f"\n{PROGRAM}: ".join(error.problems), USAGE) from None
    except TyperException as error:
        raise CliError(_usage_sentence(error), USAGE) from None
    except Abort as abort:
        interrupted = isinstance(abort.__context__, KeyboardInterrupt)
        if interrupted:
            raise CliError("stopped", INTERRUPTED) from None
        raise CliError("nothing was done", FAILED) from None


def _run_as_program(arguments: Sequence[str]) -> int:
    """The same, and all that was written has been taken when it returns."""
    from dscore.cli import streams

    streams.prepare()
    try:
        code = run(arguments)
    except BrokenPipeError:
        code = FAILED  # the reader (head, less) has seen enough
    problem = streams.finish()
    if problem is not None and code == 0:
        code = FAILED
    return code


def _decoded(arguments: Sequence[str]) -> list[str]:
    """The words as text. Where the system's encoding is a smaller one than the terminal's, Python
    keeps the bytes it cannot read as lone surrogates."""
    return [_text(number, word) for number, word in enumerate(arguments, 1)]


def _text(number: int, word: str) -> str:
    try:
        word.encode()
    except UnicodeEncodeError:
        raw = os.fsencode(word)
    else:
        return word
    try:
        return raw.decode()
    except UnicodeDecodeError:
        sentence = f"word {number} of the command line is no text in UTF-8: {str(raw)[2:-1]}"
        raise CliError(f"{sentence}; write it in UTF-8", USAGE) from None


def _fail(sentence: str, code: int = FAILED) -> int:
    print(f"{PROGRAM}: {sentence}", file=sys.stderr, flush=True)
    return code


def _usage_sentence(error: Exception) -> str:
    from pydantic import ValidationError

    context = getattr(error, "ctx", None)
    command = PROGRAM if context is None else context.command_path
    message = getattr(error, "format_message", error.__str__)()
    cause = error.__cause__
    if isinstance(cause, ValidationError):  # pydantic's, of the value of an option
        message = message.replace(str(getattr(error, "message", "")), _wrong_value(cause))
    first = " ".join(message.split()).rstrip(".")
    return f"{first[:1].lower()}{first[1:]}; see {command} --help"


def _wrong_value(error: "ValidationError") -> str:
    """What the first value is to be, in this command line's words."""
    first = error.errors()[0]
    bounds = first.get("ctx", {})
    match first["type"]:
        case "value_error":
            return str(bounds["error"])
        case "int_parsing" | "int_from_float" | "int_parsing_size":
            wanted = "must be a whole number"
        case "greater_than_equal":
            wanted = f"must be {bounds['ge']} or more"
        case "less_than_equal":
            wanted = f"must be {bounds['le']} or less"
        case _:
            return first["msg"]
    return f"{wanted}, not {first['input']!r}"
