"""The images of packaging/docker, built by buildah and started as compose starts them; the main job
in them."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from containers import IMAGES, Container, Engine
from fleet import Fleet
from keeper import rows
from waiting import wait_until

ROOT = Path(__file__).parent.parent
URL = "ws://127.0.0.1:8765/deepstream/ws"
FLEET = 1_000
MUTE, EXTENDING = 30, 20
EXTENSION = 12
"""Seconds that an agent asks for and takes: more than shutdown.timeout."""
KILLED = 128 + signal.SIGKILL

Start = Callable[..., Container]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        os.geteuid() != 0 or not (IMAGES / "storage").is_dir(),
        reason="no images here: make check-images",
    ),
]


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    engine = Engine()
    yield engine
    engine.close()


@pytest.fixture
def start(engine: Engine, request: pytest.FixtureRequest) -> Iterator[Start]:
    """Starts a container of an image, as often as called; all of them are removed afterwards."""
    numbers = count()
    with ExitStack() as started:

        def begin(image: str, *words: str, **settings: Any) -> Container:
            name = f"dscore-{os.getpid()}-{next(numbers)}"
            started.callback(
                engine.podman, "rm", "--force", "--volumes", "--time=0", name, check=False
            )
            return Container(engine, image, *words, name=name, **settings)

        yield begin


def served(start: Start, **settings: str) -> Container:
    """A server that is ready; it listens as its image says, where nothing else is."""
    variables = [f"--env=DSCORE_{name}={value}" for name, value in settings.items()]
    runtime = "--mount=type=tmpfs,destination=/run/dscore,tmpfs-mode=0700,U=true"
    container = start("dscore-server", "serve", "--insecure", options=(runtime, *variables))
    wait_until(container.is_healthy, "a healthy server", 60)
    return container


def test_an_image_says_how_it_is_to_be_run(engine: Engine) -> None:
    for image, words in (("dscore-server", ["serve"]), ("dscore-agent", None)):
        config = engine.inspect("image", f"localhost/{image}")["Config"]
        assert config["User"] == "65532:65532"
        assert config["Entrypoint"] == [f"/opt/dscore/bin/{image.replace('-server', '')}"]
        assert config.get("Cmd") == words
        assert config["StopSignal"] == "SIGTERM"


def test_it_has_no_rights_and_writes_to_its_volume_alone(start: Start) -> None:
    container = served(start)
    process = Path(f"/proc/{container.pid}")
    status = dict(
        line.split(":\t", 1)
        for line in (process / "status").read_text().splitlines()
        if ":\t" in line
    )
    assert status["Uid"].split() == ["65532"] * 4
    assert status["Gid"].split() == ["65532"] * 4
    assert int(status["CapEff"], 16) == 0
    assert status["NoNewPrivs"] == "1"
    # It is the container's first process: no shell stands between it and its signals.
    assert status["NSpid"].split()[-1] == "1"
    assert (process / "cmdline").read_bytes().split(b"\0")[1:3] == [
        b"/opt/dscore/bin/dscore",
        b"serve",
    ]
    mounts = (process / "mounts").read_text().splitlines()
    [root] = [line.split()[3] for line in mounts if line.split()[1] == "/"]
    assert "ro" in root.split(",")
    tried = "for one in / /etc /opt/dscore /run/dscore /tmp /usr /var/lib /var/lib/dscore"
    said = container.run(
        "sh", "-c", f"{tried}; do touch $one/x 2>/dev/null && echo $one; done; true"
    )
    assert said.split() == ["/run/dscore", "/tmp", "/var/lib/dscore"]


def test_health_is_the_server_s_own(start: Start) -> None:
    container = served(start)
    os.kill(container.pid, signal.SIGSTOP)
    assert not container.is_healthy(), "one that hangs"
    os.kill(container.pid, signal.SIGCONT)
    wait_until(container.is_healthy, "a healthy server again", 30)


def test_sigterm_reaches_an_agent_and_its_server(start: Start) -> None:
    server = served(start)
    network = f"--network=container:{server.name}"
    words = ("--url", URL, "--instance-id", "cam-1")
    stopped, told = (
        start("dscore-agent", *words[:-1], name, options=(network,)) for name in ("cam-1", "cam-2")
    )
    wait_until(lambda: is_listed(server, "cam-1", "cam-2"), "agents in the list", 60)
    stopped.stop(20)
    assert stopped.exit_code() == 0, stopped.log
    server.stop(10)
    assert server.exit_code() == 0, server.log
    assert told.exit_code() == 0, told.log


def is_listed(server: Container, *ids: str) -> bool:
    said = server.run("dscore", "agents", "--json")
    return set(ids) <= {one["id"] for one in json.loads(said)["items"]}


@pytest.mark.alone
@pytest.mark.parametrize("grace", [5, 10, 30])
@pytest.mark.parametrize("mix", ["answering", "mixed"])
def test_a_fleet_is_introduced_and_drained_within_the_grace(
    start: Start, start_fleet: Callable[..., Fleet], grace: int, mix: str
) -> None:
    container = served(
        start,
        SHUTDOWN__DEADLINE=f"{grace}s",
        SHUTDOWN__REPORT="/var/lib/dscore/report.json",
    )
    mixed = mix == "mixed"
    roles = {"mute": f"{MUTE / FLEET:%}", "extend": f"{EXTENDING / FLEET:%}"} if mixed else {}
    fleet = start_fleet(
        URL, within=container.inside(), agents=FLEET, extension=f"{EXTENSION}s", **roles
    )
    assert fleet.wait_until_introduced()["count"] == FLEET
    container.stop(grace)
    code, log = container.exit_code(), container.log
    assert code != KILLED, log
    report = json.loads((container.volume / "report.json").read_text())
    # Those that ask for more time get it where there is enough.
    acked = FLEET - (MUTE + (0 if grace > EXTENSION else EXTENDING) if mixed else 0)
    assert code == (0 if acked == FLEET else 3), log
    assert (report["intent"], report["total"], report["acked"]) == ("terminate", FLEET, acked)
    assert (report["failed"], report["vanished"], report["notified"]) == (0, 0, 0)
    assert (report["timed_out"], len(report["not_acked"])) == (FLEET - acked, FLEET - acked)
    assert report["duration_ms"] < grace * 1000
    # What is cut last, of those that were; a moment for closing is left, or is not.
    cut = [] if not mixed else ["max_extension"] if grace == 30 else ["timeout", "max_extension"]
    assert [one for one in report["cut"] if one != "close_timeout"] == cut
    heard = fleet.report()
    assert heard["valid"], heard
    told = heard["terminate"]
    assert (told["agents_told_1"], told["acked"]) == (FLEET, acked)
    store = container.volume / "dscore.db"
    assert rows(store, "SELECT count(*) FROM agents") == [(FLEET,)]
    found = rows(store, "SELECT entries FROM timelines WHERE agent = 0")
    kinds = {kind for (entries,) in found for _, _, kind, _ in json.loads(entries)}
    assert {"drain", "stopped"} <= kinds, "the store's last changes are in it"
