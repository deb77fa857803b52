"""What can be typed behind the command's name, and the help about it."""

import argparse
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, NamedTuple, NoReturn

from dscore_agent.cli.errors import USAGE, CommandError

Level = Literal["debug", "info", "warning", "error"]
LEVELS: tuple[Level, ...] = ("debug", "info", "warning", "error")

CONFIG_VARIABLE = "DSCORE_AGENT_CONFIG"
PIPELINE_VARIABLE = "DSCORE_AGENT_PIPELINE"
LEVEL_VARIABLE = "DSCORE_AGENT_LOG_LEVEL"
VARIABLES = frozenset({CONFIG_VARIABLE, PIPELINE_VARIABLE, LEVEL_VARIABLE})
"""Variables of the command line's own options, which are no settings."""

ABOUT = "Run an agent: hold the connection, run a pipeline, stop both when told to."
MORE = """\
signals:
  SIGTERM, ctrl-C       stops the pipeline gracefully, then ends; a second
                        ctrl-C ends at once
  SIGUSR1               writes the state of the connection to the log

settings:
  Flags win over DSCORE_AGENT_KEY variables (DSCORE_AGENT_URL, and so on), these
  over the file. docs/agent.md lists every key.

exits with:
  0 if it was told to stop, or a file was played to its end
  1 if the pipeline failed
  2 if a setting is wrong
  3 if it had to be stopped by force
  5 if a stream did not reach its end
  6 if a live pipeline ended unasked
  A refused token ends nothing: it plays on and tries again."""


class Arguments(NamedTuple):
    """What was typed."""

    config: Path | None
    """The configuration file."""
    flags: Mapping[str, str]
    """Settings, by the file's names."""
    pipeline: str | None
    """What would be typed after gst-launch-1.0; None: no pipeline."""
    level: Level
    """Of the log."""


def parse(words: Sequence[str], environ: Mapping[str, str], program: str) -> Arguments | None:
    """The words as arguments; None: the help is asked for.

    Raises:
        CommandError: They make no sense; the message says what does.
    """
    parser = _parser(program)
    typed, rest = parser.parse_known_args(_joined(words))
    if typed.help:
        return None
    for word in rest:
        parser.error(_unknown(word))
    named = {"url": typed.url, "instance_id": typed.instance_id}
    flags = _settings(typed.set)
    flags.update({key: value for key, value in named.items() if value is not None})
    config = _either(typed.config, environ.get(CONFIG_VARIABLE))
    return Arguments(
        config=None if config is None else Path(config),
        flags=flags,
        pipeline=_either(typed.pipeline, environ.get(PIPELINE_VARIABLE)),
        level=typed.log_level or _level_of(environ),
    )


def help_text(program: str) -> str:
    """What `--help` shows."""
    return _parser(program).format_help().rstrip()


class _Parser(argparse.ArgumentParser):
    """A parser that says what is wrong in one line, and leaves the exit to its caller."""

    def error(self, message: str) -> NoReturn:
        sentence = message.removeprefix("argument ").replace("expected one", "requires an")
        raise CommandError(f"{sentence}; see {self.prog} --help", USAGE)


def _parser(program: str) -> argparse.ArgumentParser:
    parser = _Parser(
        prog=program,
        usage=f"{program} [options]",
        description=ABOUT,
        epilog=MORE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        add_help=False,
    )
    add: Any = parser.add_argument
    text = f"settings, a file with a section [websocket] (or {CONFIG_VARIABLE})"
    add("-c", "--config", metavar="FILE", help=text)
    text = "the server's address for agents (default: ws://127.0.0.1:8765/deepstream/ws)"
    add("--url", metavar="URL", help=text)
    text = "this agent's name in the fleet (default: made of the machine's)"
    add("--instance-id", metavar="ID", help=text)
    text = f"a GStreamer pipeline to run, as for gst-launch-1.0 (or {PIPELINE_VARIABLE})"
    add("--pipeline", metavar="LAUNCH", help=text)
    text = "any setting of the file; may be given several times"
    add("--set", metavar="KEY=VALUE", action="append", default=[], help=text)
    text = (
        f"the least level that is written: {', '.join(LEVELS)} (default: info; or {LEVEL_VARIABLE})"
    )
    add("--log-level", metavar="LEVEL", type=_level, help=text)
    add("-h", "--help", action="store_true", help="show this message and exit")
    return parser


_WITH_VALUE = ("--config", "--url", "--instance-id", "--pipeline", "--set", "--log-level")


def _joined(words: Sequence[str]) -> list[str]:
    """The words with each option and its value as one: argparse alone takes no value that begins
    with a dash."""
    joined, rest = [], iter(words)
    for word in rest:
        option = "--config" if word == "-c" else word
        value = next(rest, None) if option in _WITH_VALUE else None
        joined.append(word if value is None else f"{option}={value}")
        if joined[-1] == f"{option.partition('=')[0]}=--":
            # To argparse it is no value but the end of options, and it takes an empty list for it.
            raise CommandError(f"{joined[-1]}: -- is no value", USAGE)
    return joined


def _either(typed: str | None, variable: str | None) -> str | None:
    # An empty variable is none; an empty word was typed, and is refused where it is used.
    return variable or None if typed is None else typed


def _settings(pairs: Sequence[str]) -> dict[str, str]:
    settings = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not (key and equals):
            raise CommandError(f"--set {pair}: write --set key=value", USAGE)
        settings[key.strip()] = value.strip()
    return settings


def _level(word: str) -> Level:
    for level in LEVELS:
        if word == level:
            return level
    raise argparse.ArgumentTypeError(f"{word!r} is not one of {', '.join(LEVELS)}")


def _level_of(environ: Mapping[str, str]) -> Level:
    try:
        return _level(environ.get(LEVEL_VARIABLE) or "info")
    except argparse.ArgumentTypeError as error:
        raise CommandError(f"{LEVEL_VARIABLE}: {error}", USAGE) from None


def _unknown(word: str) -> str:
    if not word.startswith("-"):
        return f"unexpected word {word!r}"
    option = word.partition("=")[0]
    near = get_close_matches(option, (*_WITH_VALUE, "--help"), n=1)
    return f"no such option: {option}" + (f" (did you mean {near[0]}?)" if near else "")
