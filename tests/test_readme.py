"""What README.md tells a first user to type, run as it stands there but for the port."""

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

import dscore
from dscore.server.fleet import Fleet
from serving import Serving, clean_environment

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
SECONDS = 60.0


def block(language: str, beginning: str, page: str = README) -> str:
    """The one fenced block of the page that begins like this."""
    texts = re.findall(rf"^```{language}\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    [one] = [text for text in texts if text.startswith(beginning)]
    return str(one)


def shell(serving: Serving, script: str) -> "subprocess.CompletedProcess[str]":
    """Runs it as in the README's second terminal, where this Python is the environment's."""
    script = script.replace("127.0.0.1:8765", f"127.0.0.1:{serving.port}")
    environment = clean_environment({"DSCORE_URL": serving.url, "DSCORE_LOG__FORMAT": "text"})
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    return subprocess.run(
        ["bash", "-e", "-c", script],
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )


def test_the_first_five_minutes(serving: Serving) -> None:
    agent = block("sh", ". .venv/bin/activate\npython -m dscore agent ").partition("\n")[2].strip()
    look = block("sh", ". .venv/bin/activate\npython -m dscore agents").partition("\n")[2]
    drain = block("sh", "python -m dscore drain --yes")
    # Three terminals in one. The agent ends with the fleet, and with 0.
    there = "until python -m dscore why cam-17; do sleep 0.1; done 2>/dev/null"
    said = shell(serving, f"{agent} &\nagent=$!\n{there}\n{look}{drain}wait $agent")
    assert said.returncode == 0, said.stderr
    assert "cam-17 is online: connected from 127.0.0.1" in said.stdout
    assert re.search(r"^cam-17 +online +connected", said.stdout, re.MULTILINE)
    assert '"connected_instances":["cam-17"]' in said.stdout
    assert re.search(r"drained in .* s, 1 agent: 1 acked", said.stdout)
    assert serving.wait() == 0


def commands_of_the_table() -> list[str]:
    """The operator's commands of "Operating it", a usual variation of each written out."""
    cells = re.findall(r"^\| (`dscore .*?) \| ", README, re.MULTILINE)
    spans = [span for cell in cells for span in re.findall(r"`([^`]+)`", cell)]
    return [span if span.startswith("dscore ") else f"dscore {span}" for span in spans]


def test_every_command_of_the_table_exists_and_says_how_it_is_used() -> None:
    commands = commands_of_the_table()
    assert len(commands) >= 7
    for command in commands:
        name = command.split()[1]
        said = subprocess.run(
            [sys.executable, "-m", "dscore", name, "--help"],
            env=clean_environment({"COLUMNS": "200"}),
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
        assert said.returncode == 0, command
        for option in re.findall(r"--[a-z]+", command):
            assert option in said.stdout, command


def test_the_table_s_commands_do_what_it_says(serving: Serving) -> None:
    with connect(serving.ws) as agent:
        config = {"labels": {"site": "busan"}}
        message = {"type": "app_ready", "instance_id": "cam-1", "config": config}
        agent.send(json.dumps(message))
        agent.recv(timeout=SECONDS)
        said = shell(
            serving,
            "dscore status; dscore agents --label site=busan; dscore why cam-1\n"
            "dscore maintenance on; dscore maintenance; dscore maintenance off",
        )
    assert said.returncode == 0, said.stderr
    assert "1 online" in said.stdout
    assert re.search(r"^cam-1 +online", said.stdout, re.MULTILINE)
    assert "cam-1 is online: connected from 127.0.0.1" in said.stdout
    assert said.stdout.splitlines()[-3:] == [
        "maintenance is on",
        "maintenance is on",
        "maintenance is off",
    ]


def test_power_with_curl(serving: Serving) -> None:
    access = (ROOT / "docs" / "access.md").read_text()
    said = shell(serving, block("sh", 'curl -H "Authorization: Bearer ', access))
    assert (said.returncode, said.stdout) == (0, '{"enabled":true}')
    assert serving.get("/api/v1/maintenance")[1] == b'{"enabled":true}'


def test_every_path_for_machines_is_there_and_the_page_for_people(serving: Serving) -> None:
    [cell] = re.findall(r"^\| (`/deepstream/health`.*?) \| for machines", README, re.MULTILINE)
    for path in ["/", *re.findall(r"`([^`]+)`", cell)]:
        assert serving.get(path)[0] == 200, path


async def test_in_a_python_program(monkeypatch: pytest.MonkeyPatch) -> None:
    class Sent(list[Any]):
        send = list.append

        async def send_kept(self, message: Any) -> None:
            self.append(message)

    agent = Sent()
    monkeypatch.setattr(Fleet, "agent", lambda _, agent_id: agent)
    settings = {"listen": {"port": 0}, "store": {"path": ":memory:"}}

    async def my_asgi_app(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("no lifespan")

    names: dict[str, Any] = {
        "dscore": dscore,
        "config": dscore.Config.model_validate(settings),
        "my_asgi_app": my_asgi_app,
    }
    body = "\n".join(f"    {line}" for line in block("python", "class Cameras").splitlines())
    exec(f"async def program():\n{body}\n    return report", names)
    report = await asyncio.wait_for(names["program"](), SECONDS)
    assert report.exit_code == 0
    assert agent == [{"type": "take_snapshot"}, {"type": "update", "to": "2.1"}]
