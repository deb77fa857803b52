"""A headless Chromium, over the few calls of WebDriver (https://www.w3.org/TR/webdriver2/) that the
tests of a page need. `make setup-browser` installs it; a library for this would bring more packages
into the environment than dscore itself needs.
"""

import base64
import hashlib
import shutil
import subprocess
from pathlib import Path
from typing import Any

import httpx
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from certificates import Issued
from waiting import wait_until

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
DRIVER = shutil.which("chromedriver")

# Most say nothing about the page: no sandbox, for a root in a container; no calls home.
FLAGS = """
    --headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --disable-quic
    --no-first-run --disable-background-networking --disable-component-update --disable-sync
""".split()  # noqa: SIM905 (as one types them)


def _trusting(issued: Issued | None) -> list[str]:
    """That a certificate is believed, without an authority in the system's store."""
    if issued is None:
        return []
    key = issued.certificate.public_key()
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    digest = base64.b64encode(hashlib.sha256(spki).digest()).decode()
    return [f"--ignore-certificate-errors-spki-list={digest}"]


class Browser:
    """One window.

    Args:
        trusted: The certificate of a server that is to be believed.
    """

    def __init__(
        self,
        directory: Path,
        *,
        width: int = 1280,
        height: int = 900,
        trusted: Issued | None = None,
    ) -> None:
        assert CHROMIUM is not None
        assert DRIVER is not None
        self._log = (directory / "chromedriver.log").open("w+b")
        self._driver = subprocess.Popen(
            [DRIVER, "--port=0"], stdout=self._log, stderr=self._log, start_new_session=True
        )
        port = wait_until(self._port, "chromedriver", 20)
        self._http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False)
        options = {
            "binary": CHROMIUM,
            "args": [
                *FLAGS,
                *_trusting(trusted),
                f"--window-size={width},{height}",
                f"--user-data-dir={directory}/user",
            ],
        }
        wishes = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        session = self._call("POST", "/session", {"capabilities": {"alwaysMatch": wishes}})
        self._session = f"/session/{session['sessionId']}"

    def _port(self) -> int | None:
        text = Path(self._log.name).read_text()
        _, found, rest = text.partition("started successfully on port ")
        return int(rest.split(".")[0]) if found and "." in rest else None

    def _call(self, method: str, path: str, body: object = None) -> Any:
        answer = self._http.request(method, path, json=body if method == "POST" else None)
        value = answer.json()["value"]
        if answer.is_error:
            raise RuntimeError(value["message"])
        return value

    def open(self, url: str) -> None:
        self._call("POST", f"{self._session}/url", {"url": url})

    def run(self, script: str, *args: object) -> Any:
        """What the body of a function in the page returns."""
        call = {"script": script, "args": args}
        return self._call("POST", f"{self._session}/execute/sync", call)

    def text(self, selector: str) -> str:
        """What a person reads there: nothing, if it is not shown, or not there."""
        script = "return document.querySelector(arguments[0])?.innerText ?? ''"
        return str(self.run(script, selector))

    def is_shown(self, selector: str) -> bool:
        script = "return document.querySelector(arguments[0])?.checkVisibility()"
        return bool(self.run(script, selector))

    def click(self, selector: str) -> None:
        self._call("POST", f"{self._session}/element/{self._find(selector)}/click", {})

    def hover(self, selector: str) -> None:
        """Moves the pointer there."""
        self._point(selector, [])

    def press(self, selector: str, milliseconds: int) -> None:
        """Moves the pointer there, and presses for so long."""
        down, up = ({"type": kind, "button": 0} for kind in ("pointerDown", "pointerUp"))
        self._point(selector, [down, {"type": "pause", "duration": milliseconds}, up])

    def _point(self, selector: str, then: list[dict[str, Any]]) -> None:
        origin = {"element-6066-11e4-a52e-4f735466cecf": self._find(selector)}
        move = {"type": "pointerMove", "duration": 0, "x": 0, "y": 0, "origin": origin}
        source = {"type": "pointer", "id": "mouse", "actions": [move, *then]}
        self._call("POST", f"{self._session}/actions", {"actions": [source]})

    def type(self, selector: str, text: str) -> None:
        element = self._find(selector)
        self._call("POST", f"{self._session}/element/{element}/value", {"text": text})

    def _find(self, selector: str) -> str:
        query = {"using": "css selector", "value": selector}
        return str(next(iter(self._call("POST", f"{self._session}/element", query).values())))

    def wait_for_text(self, selector: str, part: str, seconds: float = 20) -> None:
        wait_until(lambda: part in self.text(selector), f"{part!r} in {selector}", seconds)

    def complaints(self) -> list[str]:
        """What the console has said since it was last asked: a broken policy, for instance."""
        entries = self._call("POST", f"{self._session}/se/log", {"type": "browser"})
        return [entry["message"] for entry in entries]

    def cdp(self, command: str, **parameters: object) -> Any:
        """A command of the DevTools protocol."""
        call = {"cmd": command, "params": parameters}
        return self._call("POST", f"{self._session}/goog/cdp/execute", call)

    def violations(self, axe: str) -> list[str]:
        """What axe-core has to say against the page as it is."""
        self.run(f"if (!window.axe) {{ {axe} }}")
        found = self.run(
            "return axe.run().then(({ violations }) => violations.map(({ id, nodes }) =>"
            " `${id}: ${nodes.map((node) => node.html).join(' | ')}`))"
        )
        return [str(each) for each in found]

    def picture(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self._call("GET", f"{self._session}/screenshot")))

    def close(self) -> None:
        try:
            if hasattr(self, "_session"):
                self._call("DELETE", self._session)
        finally:
            if hasattr(self, "_http"):
                self._http.close()
            self._driver.terminate()
            self._driver.wait(20)
            self._log.close()
