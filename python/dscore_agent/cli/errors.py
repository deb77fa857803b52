"""What the command can fail with before it is an agent, and its exit codes besides `Exit`."""

FAILED = 1
USAGE = 2
INTERRUPTED = 130


class CommandError(Exception):
    """The command failed. The message is one line: the cause, then the remedy."""

    def __init__(self, message: str, code: int = FAILED) -> None:
        super().__init__(message)
        self.code = code
