"""Containers of the images that `scripts/images` has built, started by Podman.

`Engine` is Podman with the storage in build/images. A `Container` has a network of its own with
nothing but loopback in it, unless it shares another one's: a program of the tests gets there by
`Container.inside`.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
IMAGES = ROOT / "build" / "images"
SECONDS = 120
# crun wants the cgroups of version 2, which a machine that mixes both versions has elsewhere. What
# is mounted in a namespace goes with the program that holds it.
HOLD = "mount -t cgroup2 none /sys/fs/cgroup 2>/dev/null || true; echo ready; exec cat"


class Engine:
    """Podman, with mounts that no other program sees."""

    def __init__(self) -> None:
        self._holder = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == b"ready\n"

    def podman(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Runs it; it must end with 0, unless that is not asked for."""
        namespace = f"--mount=/proc/{self._holder.pid}/ns/mnt"
        places = ("--root", str(IMAGES / "storage"), "--runroot", str(IMAGES / "run"))
        done = subprocess.run(
            ["nsenter", namespace, "podman", *places, "--cgroup-manager=cgroupfs", *words],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            # Health is asked for by the tests, not by timers of systemd.
            env={**os.environ, "DISABLE_HC_SYSTEMD": "true"},
        )
        if check:
            assert done.returncode == 0, f"podman {' '.join(words)}: {done.stdout}{done.stderr}"
        return done

    def inspect(self, kind: str, name: str) -> dict[str, Any]:
        """What it knows of an `image` or `container`."""
        [found] = json.loads(self.podman(kind, "inspect", name).stdout)
        return dict(found)

    def close(self) -> None:
        """Ends the program that holds the mounts: it reads to the end of its input."""
        self._holder.communicate()


class Container:
    """One container, with the rights that packaging/docker/compose.yaml gives it: none."""

    def __init__(
        self, engine: Engine, image: str, *words: str, name: str, options: tuple[str, ...] = ()
    ) -> None:
        """Starts it.

        Args:
            words: for the program; without any, those of the image.
            name: of no other container.
            options: further ones of `podman run`.
        """
        self._engine, self.name = engine, name
        # A program may be given no more than this one has.
        limits = [
            f"--ulimit={limit}={bound}:{bound}"
            for limit, bound in (
                ("nofile", resource.getrlimit(resource.RLIMIT_NOFILE)[1]),
                ("nproc", min(resource.getrlimit(resource.RLIMIT_NPROC)[1] % 2**63, 10_000)),
            )
        ]
        network = () if any(one.startswith("--network") for one in options) else ("--network=none",)
        engine.podman(
            *("run", "--detach", "--name", name, "--pull=never", "--cgroups=disabled", *network),
            *("--log-driver=k8s-file", "--read-only", "--read-only-tmpfs=false", "--tmpfs=/tmp"),
            *("--cap-drop=ALL", "--security-opt=no-new-privileges", *limits, *options),
            *(f"localhost/{image}", *words),
        )

    @property
    def pid(self) -> int:
        """Of its first process, outside."""
        return int(self._engine.inspect("container", self.name)["State"]["Pid"])

    @property
    def volume(self) -> Path:
        """Where its one volume is, outside."""
        [mount] = self._engine.inspect("container", self.name)["Mounts"]
        return Path(mount["Source"])

    @property
    def log(self) -> str:
        done = self._engine.podman("logs", self.name)
        return done.stdout + done.stderr

    def inside(self, *command: str | Path) -> list[str | Path]:
        """The command that runs this one in its network."""
        return ["nsenter", f"--net=/proc/{self.pid}/ns/net", *command]

    def run(self, *command: str) -> str:
        """What a command in it writes; it must end with 0."""
        return self._engine.podman("exec", self.name, *command).stdout

    def is_healthy(self) -> bool:
        """By the check of its image."""
        return self._engine.podman("healthcheck", "run", self.name, check=False).returncode == 0

    def stop(self, grace: int) -> None:
        """Its stop signal, and SIGKILL after so many seconds."""
        self._engine.podman("stop", "--time", str(grace), self.name)

    def exit_code(self) -> int:
        """Once it has ended; 137 is SIGKILL's."""
        return int(self._engine.podman("wait", self.name).stdout)
