"""The command `dscore-agent`: an agent that is the whole process.

`arguments` has what can be typed, `program` runs it. They are imported when they are needed, and
`startup` before anything else.
"""

import os
import sys
from collections.abc import Callable, Sequence

from dscore_agent.cli import startup
from dscore_agent.cli.errors import FAILED, USAGE, CommandError

PROGRAM = "dscore-agent"


def main() -> None:
    """Runs the command of this process and exits with its code: see `--help`."""
    startup.begin()
    sys.exit(_told(lambda: _run(_decoded(sys.argv[1:]), PROGRAM), PROGRAM))


def run(words: Sequence[str], program: str = PROGRAM) -> int:
    """Runs the command. A process that has become an agent ends in it, with one of `Exit`.

    Args:
        words: What was typed behind the program's name, as text.
        program: The name, as people type it: `dscore agent` is this command, too.

    Returns:
        The exit code of a process that has become none. What went wrong was said in one line on
        stderr.
    """
    return _told(lambda: _run(words, program), program)


def _told(command: Callable[[], int], program: str) -> int:
    """Its exit code; what went wrong becomes one line on stderr."""
    try:
        return command()
    except CommandError as error:
        return _fail(program, str(error), error.code)
    except OSError as error:
        return _fail(program, f"cannot go on: {(error.strerror or str(error)).lower()}", FAILED)


def _run(words: Sequence[str], program: str) -> int:
    from dscore_agent.cli.arguments import help_text, parse
    from dscore_agent.errors import ConfigError

    arguments = parse(words, os.environ, program)
    if arguments is None:
        return _print(help_text(program))
    from dscore_agent.cli.program import live

    try:
        live(arguments)
    except ConfigError as error:
        raise CommandError(str(error), USAGE) from None


def _print(text: str) -> int:
    try:
        print(text, flush=True)
    except OSError as error:
        # Python's own exit would write it once more, and complain.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
        if isinstance(error, BrokenPipeError):
            return FAILED  # the reader (head, less) has seen enough
        raise
    return 0


def _fail(program: str, sentence: str, code: int) -> int:
    # `dscore agent` complains as `dscore` does.
    print(f"{program.partition(' ')[0]}: {sentence}", file=sys.stderr, flush=True)
    return code


def _decoded(words: Sequence[str]) -> list[str]:
    """The words as text. Where the system's encoding is a smaller one than the terminal's, Python
    keeps the bytes it cannot read as lone surrogates."""
    return [_text(number, word) for number, word in enumerate(words, 1)]


def _text(number: int, word: str) -> str:
    try:
        return os.fsencode(word).decode()
    except UnicodeError:
        sentence = f"word {number} of the command line is no text in UTF-8"
        raise CommandError(f"{sentence}: {ascii(word)[1:-1]}; write it in UTF-8", USAGE) from None
