"""Configuration files as text, and what `[websocket]` in them holds, by the agent's own reader."""

import tempfile
from pathlib import Path
from typing import Any

from dscore_agent.errors import ConfigError
from dscore_agent.ini import read

TEXTS = {
    "plain": "[websocket]\nurl=ws://a\n",
    "blanks": "  [ websocket ]  \n  url =  ws://a  \n",
    "comments": "# one\n; two\n[websocket]\n# three\n;four\nurl=ws://a#b;c\n",
    "other sections": "[source0]\nurl=x\nnonsense\n[websocket]\nurl=a\n[sink0]\nurl=b\n",
    "a section in two parts": "[websocket]\nurl=a\n[sink0]\nurl=b\n[websocket]\ntoken=t\n",
    "an equals sign in a value": "[websocket]\ntoken=a=b==\n",
    "an empty value": "[websocket]\ntoken=\n",
    "quotes stay": '[websocket]\ntoken="a b"\n',
    "a byte order mark": "\ufeff[websocket]\nurl=a\n",
    "line ends of all kinds": "[websocket]\r\nurl=a\rtoken=b\r\n\r\ninstance_id=c",
    "tabs and wide blanks": "[websocket]\n\turl\t=\ta\t\n\u3000token\u3000=\u00a0b\u2003\n",
    "rare line ends": "[websocket]\nurl=a\x0btoken=b\x0cx=1\x1cy=2\x85z=3\u2028u=4\u2029v=5\n",
    "a blank in a value": "[websocket]\nmode=fast and \tfree \n",
    "umlauts": "[websocket]\ninstance_id=Tür-7\nschlüssel=wert\n",
    "no section": "url=a\n",
    "empty": "",
    "a slip of a section": "[websockets]\nurl=a\n",
    "a slip in capitals": "[WebSocket]\nurl=a\n",
    "no key": "[websocket]\n=a\n",
    "no equals sign": "[websocket]\nurl\n",
    "given twice": "[websocket]\nurl=a\ntoken=t\nurl=b\n",
    "a section without a name": "[]\n[websocket]\nurl=a\n",
    "a section that does not end": "[websocket\nurl=a\n",
    "all at once": "[websocket]\n=a\nb\nurl=a\nurl=b\n[]\n",
}
NAME = "agent.ini"


def one(text: str) -> dict[str, Any]:
    """Entries with their lines, or the problems, where the file's name is NAME."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, NAME)
        path.write_bytes(text.encode())
        try:
            entries = [
                [entry.key, entry.value, int(entry.origin.rpartition(":")[2])]
                for entry in read(path)
            ]
        except ConfigError as error:
            problems = [line.replace(str(path), NAME) for line in error.problems]
            return {"entries": None, "problems": problems}
        return {"entries": entries, "problems": []}


def document() -> list[dict[str, Any]]:
    """What `ini.json` holds."""
    return [{"name": name, "text": text, **one(text)} for name, text in TEXTS.items()]
