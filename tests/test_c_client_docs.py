"""What clients/c/README.md promises: its program, its packages, its introspection."""

import json
import os
import re
import shlex
import subprocess
from pathlib import Path

from c_client import ROOT, Running, needs_c
from serving import Serving
from waiting import wait_until

pytestmark = needs_c

README = ROOT / "clients" / "c" / "README.md"


def test_the_program_of_the_readme_lives_and_ends(
    c_build: Path, lasting: Serving, tmp_path: Path
) -> None:
    [program] = re.findall(r"```c\n(.*?)```", README.read_text(), re.DOTALL)
    (tmp_path / "work.c").write_text(program)
    environment = {**os.environ, "PKG_CONFIG_PATH": str(c_build / "meson-uninstalled")}
    asked = ["pkg-config", "--cflags", "--libs", "dscore-1.0"]
    flags = subprocess.run(asked, env=environment, capture_output=True, text=True, check=True)
    # Of a library that is not installed, so its path may hold a space, which pkg-config escapes.
    command = ["cc", "-Wall", "-Werror", "work.c", "-o", "work", *shlex.split(flags.stdout)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"cc work.c -o work $({' '.join(asked)})" in README.read_text()
    env = {
        "LD_LIBRARY_PATH": str(c_build / "src"),
        "DSCORE_AGENT_INSTANCE_ID": "box-2",
        "DSCORE_AGENT_URL": f"ws://127.0.0.1:{lasting.port}",
    }
    # A setting that is wrong is an answer, not a crash: a unit restarts what a signal ended.
    wrong = {**os.environ, **env, "DSCORE_AGENT_URL": "http://wrong"}
    refused = subprocess.run([tmp_path / "work"], env=wrong, capture_output=True, text=True)
    assert (refused.returncode, "url: must be" in refused.stderr) == (2, True), refused.stderr
    with Running(tmp_path / "work", env=env) as work:
        path = "/api/v1/agents/box-2"
        wait_until(lambda: json.loads(lasting.get(path)[1]).get("status") == "online", "agent", 30)
        lasting.request("POST", f"{path}/message", {"type": "hello"})
        wait_until(lambda: work.lines == ["the server says hello"], "message")
        body = json.loads(lasting.request("POST", f"{path}/terminate", {})[1])
        assert (body["outcome"], body["message"]) == ("acked", "the work is done")
        assert work.wait() == 0
