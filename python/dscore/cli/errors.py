"""What a command can fail with, and the exit codes."""

OK = 0
FAILED = 1
USAGE = 2
PARTIAL = 3
INTERRUPTED = 130


class CliError(Exception):
    """A command failed. The message is one line: the cause, then the remedy."""

    def __init__(self, message: str, code: int = FAILED) -> None:
        super().__init__(message)
        self.code = code
