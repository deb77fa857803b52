"""How often the fleet page asks, and how much it keeps: in Node, with stand-ins for a browser."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from js_stage import NODE

SRC = Path(__file__).parent.parent / "clients" / "page" / "src"
pytestmark = pytest.mark.skipif(NODE is None, reason="no Node: https://nodejs.org")
STAND_INS = """
    const nothing = () => {};
    const storage = { getItem: () => null, setItem: nothing };
    Object.assign(globalThis, {
      localStorage: storage, sessionStorage: storage, history: { replaceState: nothing },
      location: { href: "http://h/", hash: "", search: "", pathname: "/" },
      document: { documentElement: { dataset: {} }, hidden: false, addEventListener: nothing },
      window: new EventTarget(), requestAnimationFrame: () => 1, setInterval: nothing,
      WebSocket: class { close() {} },
    });
    Object.defineProperty(globalThis, "navigator", { value: { language: "en" } });
    const waits = [];
    globalThis.setTimeout = (_, wait) => waits.push(wait);
    const asked = [];
    let answers = {};
    globalThis.fetch = async (url) => {
      const path = String(url).split("api/v1/")[1] ?? "";
      asked.push(path);
      const answer = answers[path.split("?")[0]];
      if (!answer) throw new TypeError("no server");
      return new Response(JSON.stringify(answer));
    };
    const settle = async () => { for (let n = 0; n < 50; n++) await new Promise(setImmediate); };
"""


def evaluate(body: str) -> Any:
    modules = {name: str(SRC / f"{name}.js") for name in ("live", "poll", "state")}
    imports = "".join(
        f"const {name} = await import({json.dumps(path)});\n" for name, path in modules.items()
    )
    done = subprocess.run(
        [str(NODE), "--input-type=module", "-"],
        input=f"{STAND_INS}\n{imports}\n{body}\nprocess.exit();",
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_before_the_first_answer_it_asks_no_more_often() -> None:
    """What an answer took beyond the fastest one was no number before there was one."""
    waits = evaluate(
        "waits.length = 0; poll.poll(); await settle(); console.log(JSON.stringify(waits));"
    )
    assert len([wait for wait in waits if wait and wait >= 500]) >= 7
    assert None not in waits  # NaN, to JSON.


def test_a_drain_is_asked_for_at_its_own_pace_however_often_its_progress_is_told() -> None:
    asked = evaluate(
        """
        answers = { drain: { state: "draining", total: 3, pending: 3 } };
        const watcher = live.watch();
        await settle();
        state.set({ link: { state: "ready" } });
        for (let pending = 20; pending > 0; pending--) {
          const detail = { intent: "terminate", total: 20, pending };
          watcher.dispatchEvent(new CustomEvent("drain", { detail }));
          await settle();
        }
        console.log(JSON.stringify([asked, state.state.drain.isRunning]));
        """
    )
    assert asked[1] is True
    assert [path for path in asked[0] if path.startswith("drain")] == ["drain", "drain?wait=10"]


@pytest.mark.parametrize("hours", [-30, 0, 30])
def test_the_samples_of_an_hour_stay_those_of_an_hour_on_a_clock_that_is_wrong(hours: int) -> None:
    kept = evaluate(
        f"const hours = {hours};"
        """
        const { now } = Date;
        Date.now = () => now() + hours * 3_600_000;
        const sample = (at) => ({ at, states: { connected: at }, connects: at, disconnects: at });
        let newest = now();
        const first = Array.from({ length: 720 }, (_, n) => newest - 5_000 * (719 - n));
        for (const given of [first, ...Array(5)]) {
          answers = { history: sample(given ?? [(newest += 5_000)]) };
          poll.historyAnew();
          await settle();
        }
        const { at, states, connects } = state.state.history;
        const kept = [at, states.connected, connects].map((each) => each.length);
        console.log(JSON.stringify([...kept, at.at(-1) - at[0]]));
        """
    )
    assert kept == [720, 720, 720, 719 * 5_000]
