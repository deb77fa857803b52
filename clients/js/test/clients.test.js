// Agent and Watcher over a socket that says what the test tells it to: teardown, refusals, hazards. No network.

import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";
import { Agent, Watcher } from "../src/index.js";
import { makeClock } from "./clock.js";

const URL = "http://127.0.0.1:8765/";
let clock;
let document;
let sockets;
let listeners;

class FakeSocket {
  sent = [];
  closed = null;

  constructor(url) {
    this.url = String(url);
    sockets.push(this);
  }

  send(text) {
    this.sent.push(JSON.parse(text));
  }

  close(code, reason) {
    this.closed = [code, reason];
  }

  says(message) {
    this.onmessage?.({ data: typeof message === "string" ? message : JSON.stringify(message) });
  }

  ends(code, reason = "") {
    this.onclose?.({ code, reason });
  }
}

beforeEach(() => {
  clock = makeClock();
  document = { status: "ok" };
  sockets = [];
  listeners = new Set();
  mock.method(globalThis, "fetch", async () => new Response(JSON.stringify(document)));
});
afterEach(() => {
  mock.restoreAll();
  clock.restore();
});

async function agent(options = {}) {
  const one = new Agent(URL, { instanceId: "a-1", webSocket: FakeSocket, jitter: false, ...options });
  one.start();
  await clock.pass(1);
  sockets.at(-1).onopen?.();
  return one;
}

async function ready(options) {
  const one = await agent(options);
  sockets.at(-1).says({ type: "app_ready_ack", status: "ok", session_restored: false, nextHeartbeatIn: 30_000 });
  return one;
}

async function watcher(options = {}) {
  const one = new Watcher(URL, { webSocket: FakeSocket, jitter: false, ...options });
  await clock.pass(1);
  sockets.at(-1)?.onopen?.();
  return one;
}

test("addresses: with or without the path, behind a proxy, ws or http", async () => {
  for (const [given, expected] of [
    ["http://h/", "ws://h/deepstream/ws"],
    ["https://h/fleet", "wss://h/fleet/deepstream/ws"],
    ["wss://h:1/fleet/deepstream/ws", "wss://h:1/fleet/deepstream/ws"],
    ["ws://h/deepstream/ws/", "ws://h/deepstream/ws"],
    ["http://h/p/socket.io/?x=1#y", "ws://h/p/deepstream/ws"],
  ]) {
    const one = new Agent(given, { instanceId: "a", webSocket: FakeSocket });
    one.start();
    await clock.pass(1);
    assert.equal(sockets.at(-1).url, expected);
    one.close();
  }
});

test("a missing WebSocket and a missing id are said at once, with their remedy", () => {
  const { WebSocket } = globalThis;
  delete globalThis.WebSocket;
  try {
    assert.throws(() => new Watcher(URL), /package ws, or run Node 22/);
  } finally {
    if (WebSocket) globalThis.WebSocket = WebSocket;
  }
  assert.throws(() => new Agent(URL, { instanceId: "", webSocket: FakeSocket }), /instanceId/);
});

test("an option that is left undefined is its default, and one that is no number makes no hot loop", async () => {
  const none = { attempts: undefined, cap: undefined, jitter: undefined, random: undefined, heartbeat: undefined, token: undefined,
    healthInterval: undefined, outboxLimit: undefined, terminateTimeout: undefined, signal: undefined, onTerminate: undefined };
  document = {};
  for (const Kind of [Agent, Watcher]) {
    const one = new Kind(URL, { instanceId: "a", webSocket: FakeSocket, ...none });
    const waits = [];
    one.addEventListener("state", ({ detail }) => detail.state === "waiting" && waits.push(detail.retryIn));
    if (Kind === Agent) one.start();
    await clock.pass(3_600_000);
    assert.ok(waits.every((wait) => wait >= 0 && wait <= (Kind === Agent ? 60_000 : 30_000)), `${waits}`);
    assert.equal(one.status.state, Kind === Agent ? "waiting" : "gaveup");
    one.close();
  }
  for (const cap of [NaN, -1, "soon"]) assert.throws(() => new Watcher(URL, { webSocket: FakeSocket, cap }), RangeError);
  document = { status: "ok" };
  const one = await ready({ heartbeat: NaN, healthInterval: NaN });
  const asked = fetch.mock.callCount();
  await clock.pass(60_000);
  assert.ok(sockets.at(-1).sent.length < 6);
  assert.ok(fetch.mock.callCount() - asked < 4);
  one.close();
});

test("nothing runs and nothing listens after close, whenever that is", async () => {
  const moments = {
    "at once": async (one) => one,
    "while health is asked": async (one) => one.start?.(),
    connecting: async () => clock.pass(1),
    introducing: async () => {
      await clock.pass(1);
      sockets.at(-1).onopen();
    },
    ready: async () => {
      await clock.pass(1);
      sockets.at(-1).onopen();
      sockets.at(-1).says({ type: "app_ready_ack", status: "ok" });
      sockets.at(-1).says({ type: "server_status_response", serverStatus: "error" });
    },
    waiting: async () => {
      await clock.pass(1);
      sockets.at(-1).onopen();
      sockets.at(-1).ends(1006);
    },
    "its credentials are refused": async () => {
      await clock.pass(1);
      sockets.at(-1).onopen();
      sockets.at(-1).ends(1008, "authentication failed");
    },
    "it is asked to stop": async () => {
      await clock.pass(1);
      sockets.at(-1).onopen();
      sockets.at(-1).says({ type: "terminate_app", request_id: "r" });
    },
  };
  for (const [name, moment] of Object.entries(moments)) {
    for (const Kind of [Agent, Watcher]) {
      const stop = new AbortController();
      let held = 0;
      mock.method(stop.signal, "addEventListener", (_, __, { signal }) => {
        held += 1;
        signal.addEventListener("abort", () => (held -= 1), { once: true });
      });
      const one = new Kind(URL, {
        instanceId: "a",
        webSocket: FakeSocket,
        signal: stop.signal,
        token: () => "t",
        onTerminate: () => new Promise(() => {}),
      });
      if (Kind === Agent) one.start();
      await moment(one);
      one.close();
      one.close();
      await clock.settle();
      assert.equal(clock.timers, 0, `${Kind.name}, ${name}: timers`);
      assert.equal(held, 0, `${Kind.name}, ${name}: listeners`);
      const socket = sockets.at(-1);
      if (socket) assert.deepEqual([socket.onopen ?? null, socket.onmessage ?? null, socket.onclose ?? null], [null, null, null]);
      await clock.pass(7_200_000);
      assert.equal(one.status.state, "closed");
      assert.equal(clock.timers, 0);
      sockets.length = 0;
    }
  }
});

test("an aborted signal closes it", async () => {
  const stop = new AbortController();
  const one = await ready({ signal: stop.signal });
  stop.abort();
  assert.equal(one.status.state, "closed");
  assert.deepEqual(sockets[0].closed, [1000, "aborted"]);
  assert.equal(clock.timers, 0);
});

test("it does not wait for onclose: what a dropped socket says later is not heard", async () => {
  const one = await ready();
  const [first] = sockets;
  const heard = [];
  one.addEventListener("message", ({ detail }) => heard.push(detail));
  one.close();
  first.says({ type: "late" });
  first.ends(1006);
  assert.deepEqual(heard, []);
  assert.equal(one.status.state, "closed");
});

test("a listener may close, retry or send in the middle of every change", async () => {
  for (const state of ["connecting", "introducing", "ready", "waiting"]) {
    for (const Kind of [Agent, Watcher]) {
      const one = new Kind(URL, { instanceId: "a", webSocket: FakeSocket, jitter: false });
      one.addEventListener("state", ({ detail }) => {
        if (detail.state !== state) return;
        assert.equal(one.status.state, state);
        one.send?.({ type: "note" });
        one.close();
      });
      if (Kind === Agent) one.start();
      await clock.pass(1);
      sockets.at(-1)?.onopen?.();
      sockets.at(-1)?.says({ type: "app_ready_ack", status: "ok" });
      sockets.at(-1)?.says({ type: "client_status_changed", id: "a", status: "online" });
      sockets.at(-1)?.ends(1006);
      await clock.pass(120_000);
      assert.equal(one.status.state, "closed", `${Kind.name}, ${state}`);
      assert.equal(clock.timers, 0);
      sockets.length = 0;
    }
  }
  const one = await watcher();
  sockets.at(-1).says({ type: "server_status_response" });
  one.addEventListener("state", ({ detail }) => detail.state === "waiting" && one.retry());
  sockets.at(-1).ends(1001);
  await clock.pass(10);
  assert.equal(sockets.length, 2);
  one.close();
});

test("send refuses new work while the server is not ready, messages of the protocol never", async () => {
  const one = await ready({ healthInterval: 1_000, random: () => 0 });
  assert.equal(one.send({ type: "note" }), true);
  document = { status: "shutting_down" };
  await clock.pass(1_000);
  const refused = [];
  one.addEventListener("refused", ({ detail }) => refused.push(detail.reason));
  assert.equal(one.send({ type: "note" }), false);
  assert.deepEqual([refused, one.status.refusal, one.status.health], [["server_not_ready"], "server_not_ready", "shutting_down"]);
  assert.equal(one.send({ type: "heartbeat", clientName: "a-1" }), true);
  assert.equal(sockets[0].sent.at(-1).type, "heartbeat");
  // One that does not answer is another matter: what is sent waits.
  document = {};
  await clock.pass(1_000);
  assert.equal(one.status.refusal, "server_not_ready");
  document = { status: "ok" };
  await clock.pass(1_000);
  assert.equal(one.send({ type: "note" }), true);
  one.close();
});

test("a Retry-After of the health page wins over the row of a server that shuts down", async () => {
  const one = await ready();
  mock.method(globalThis, "fetch", async () => new Response('{"status": "shutting_down"}', { status: 503, headers: { "retry-after": "42" } }));
  sockets[0].ends(1013);
  await clock.pass(10_000);
  assert.deepEqual([one.status.state, one.status.retryIn], ["waiting", 42_000]);
  one.close();
});

test("a server that says that it is ready again takes new work, though the next attempt fails", async () => {
  const one = await ready();
  sockets[0].ends(1013);
  assert.equal(one.status.refusal, "server_not_ready");
  await clock.pass(10_000);
  assert.deepEqual([sockets.length, one.status.refusal], [2, null]);
  sockets[1].ends(1006);
  assert.deepEqual([one.status.state, one.status.refusal], ["waiting", null]);
  one.close();
});

test("messages wait while it is away, in order; past the limit the oldest is dropped and counted", async () => {
  const one = await agent({ outboxLimit: 2 });
  for (const n of [1, 2, 3]) assert.equal(one.send({ type: "note", n }), true);
  assert.deepEqual([one.status.queued, one.status.dropped], [2, 1]);
  sockets[0].says({ type: "app_ready_ack", status: "ok" });
  assert.deepEqual(sockets[0].sent.slice(1).map(({ n }) => n), [2, 3]);
  assert.throws(() => one.send({ n: 1 }), /type/);
  assert.throws(() => one.send({ type: "note", text: "x".repeat(1_000_001) }), RangeError);
  // The server counts bytes.
  assert.throws(() => one.send({ type: "note", text: "가".repeat(400_000) }), RangeError);
  assert.equal(one.status.queued, 0);
  // A socket that does not get rid of its bytes is not fed any further.
  sockets[0].bufferedAmount = 10_000_000;
  one.send({ type: "note", n: 4 });
  assert.equal(one.status.queued, 1);
  const { timers } = clock;
  one.send({ type: "note", n: 5 });
  assert.equal(clock.timers, timers, "one timer, however many messages wait");
  sockets[0].bufferedAmount = 0;
  await clock.pass(200);
  assert.deepEqual(sockets[0].sent.slice(-2).map(({ n }) => n), [4, 5]);
  one.close();
});

test("it introduces itself as what it is, and again as one that comes back", async () => {
  const one = await ready({ config: { labels: { site: "busan" } }, token: () => "secret" });
  assert.deepEqual(sockets[0].sent[0], { type: "app_ready", instance_id: "a-1", reconnection: false, last_close_code: 0,
    config: { labels: { site: "busan" } }, token: "secret" });
  sockets[0].ends(1011, "ping timeout");
  await clock.pass(1_100);
  sockets[1].onopen();
  const { reconnection, last_close_code } = sockets[1].sent[0];
  assert.deepEqual({ reconnection, last_close_code }, { reconnection: true, last_close_code: 1011 });
  one.close();
});

test("a server that acknowledges nothing is left after three heartbeats", async () => {
  const one = await agent();
  await clock.pass(25_000);
  assert.equal(sockets[0].sent.filter(({ type }) => type === "heartbeat").length, 3);
  assert.ok(sockets[0].closed);
  one.close();
});

test("it answers what the contract demands, and survives what makes no sense", async () => {
  const one = await ready();
  const [socket] = sockets;
  const before = socket.sent.length;
  for (const nonsense of ["", "{", "null", "[]", "1", '{"type":1}', '{"type":"terminate_app"}', '{"type":"app_ready_ack"}',
    '{"type":"terminate_app","request_id":7}', '{"type":"server_shutdown"}', '{"type":"heartbeat_response","status":"error"}',
    '{"type":"app_ready_ack","nextHeartbeatIn":"soon"}', '{"type":"error","code":"forbidden"}']) {
    socket.says(nonsense);
  }
  assert.equal(socket.sent.length, before);
  assert.equal(one.status.state, "ready");
  socket.says({ type: "connection_check", client_name: "a-1" });
  assert.deepEqual(socket.sent.at(-1), { type: "connection_check_response", client_name: "a-1" });
  socket.says({ type: "heartbeat_response", status: "error", shouldReconnect: true });
  assert.equal(one.status.state, "waiting");
  one.close();
});

test("what is no word and no number of a peer is taken for none, whatever else it is", async () => {
  const odd = [{ toString: 1 }, { valueOf: null, toString: null }, null, true, [], "5", ["5"]];
  for (const value of odd) {
    const one = await ready();
    for (const type of ["app_ready_ack", "heartbeat_response"]) sockets.at(-1).says({ type, status: "ok", nextHeartbeatIn: value });
    const before = sockets.at(-1).sent.length;
    await clock.pass(29_000);
    assert.equal(sockets.at(-1).sent.length, before, JSON.stringify(value));
    sockets.at(-1).says({ type: "server_shutdown", reconnectAfter: value, message: value });
    sockets.at(-1).says({ type: "terminate_app", request_id: "r", reason: value });
    await clock.pass(1);
    assert.equal(sockets.at(-1).sent.at(-1).status, "OK");
    one.close();
    const other = await watcher();
    sockets.at(-1).says({ type: "client_status_changed", id: "a", status: "offline", reason: value });
    assert.equal(typeof other.agents.get("a").reason, "string");
    sockets.at(-1).says({ type: "error", code: "forbidden", message: value });
    assert.equal(other.status.state, "forbidden");
    assert.equal(typeof other.status.why, "string");
  }
});

test("an agent whose id was taken asks who has it until it is let in again, whatever happens meanwhile", async () => {
  const one = await ready();
  sockets[0].ends(4409, "taken over");
  await clock.pass(300_000);
  sockets[1].onopen();
  sockets[1].ends(1006);
  document = { status: "ok", instance_connected: true };
  await clock.pass(10_000);
  assert.equal(sockets.length, 2);
  assert.equal(one.status.why, "another agent has this id");
  assert.match(String(fetch.mock.calls.at(-1).arguments[0]), /instance_id=a-1/);
  one.close();
});

test("an answer with an undefined field has the field's default", async () => {
  await ready({ onTerminate: () => ({ status: undefined, message: undefined, complete: undefined }) });
  sockets[0].says({ type: "terminate_app", request_id: "r1" });
  await clock.pass(1);
  assert.deepEqual(sockets[0].sent.at(-1), { type: "app_terminated", request_id: "r1", status: "OK",
    message: "Application terminated gracefully", complete: true });
});

test("a time without an end is the longest that a timer can be set to", async () => {
  const one = await ready({ healthInterval: Infinity, terminateTimeout: Infinity, onTerminate: () => new Promise(() => {}) });
  const waits = setTimeout.mock.calls.map(({ arguments: [, wait] }) => wait);
  sockets[0].says({ type: "terminate_app", request_id: "r1" });
  waits.push(setTimeout.mock.calls.at(-1).arguments[1]);
  assert.ok(waits.every((wait) => wait === undefined || wait < 2 ** 31), `${waits}`);
  one.close();
});

test("a signal that was aborted before ends it as well", async () => {
  for (const Kind of [Agent, Watcher]) {
    const one = new Kind(URL, { instanceId: "a", webSocket: FakeSocket, signal: AbortSignal.abort() });
    one.start?.();
    await clock.pass(1);
    assert.equal(one.status.state, "closed", Kind.name);
    assert.equal((await one.messages?.().next())?.done ?? true, true);
    assert.deepEqual([sockets.length, clock.timers], [0, 0]);
  }
});

test("another token counts in the middle of an attempt, too", async () => {
  for (const isOpen of [false, true]) {
    const one = new Watcher(URL, { webSocket: FakeSocket, token: "wrong" });
    await clock.pass(1);
    if (isOpen) sockets.at(-1).onopen();
    one.retry("right");
    await clock.pass(1);
    sockets.at(-1).onopen();
    assert.equal(sockets.at(-1).sent[0].token, "right");
    one.close();
  }
});

test("a repeated request to stop is answered once, a second one too", async () => {
  let asked = 0;
  const one = await ready({ onTerminate: async ({ progress }) => {
    asked += 1;
    progress("flushing", 500);
    return { status: "OK", complete: false, message: "cut" };
  } });
  for (const request_id of ["r1", "r1", "r2"]) sockets[0].says({ type: "terminate_app", request_id, reason: "drain" });
  await clock.pass(1);
  const answers = sockets[0].sent.filter(({ type }) => type === "app_terminated");
  assert.deepEqual(answers.map(({ request_id }) => request_id), ["r1", "r2"]);
  assert.deepEqual(answers[0], { type: "app_terminated", request_id: "r1", status: "OK", message: "cut", complete: false });
  assert.equal(sockets[0].sent.filter(({ type }) => type === "termination_progress").length, 1);
  assert.equal(asked, 1);
  // A server that does not hang up is not waited for.
  await clock.pass(3_000);
  assert.equal(one.status.state, "stopped");
  assert.equal(clock.timers, 0);
});

test("an application that does not stop in time is said to have failed", async () => {
  const one = await ready({ terminateTimeout: 1_000, onTerminate: () => new Promise(() => {}) });
  sockets[0].says({ type: "terminate_app", request_id: "r1" });
  await clock.pass(1_000);
  const { status, message } = sockets[0].sent.at(-1);
  assert.deepEqual({ status, message }, { status: "ERROR", message: "the application did not stop in time" });
  assert.equal(one.status.state, "stopped");
});

test("an application that is stopped and loses its connection is not waited for, however it would come back", async () => {
  for (const attempts of [0, 5]) {
    const one = await ready({ attempts, onTerminate: () => new Promise(() => {}) });
    const told = [];
    one.addEventListener("state", ({ detail }) => told.push(detail.state));
    sockets.at(-1).says({ type: "terminate_app", request_id: "r1" });
    sockets.at(-1).ends(1006);
    assert.deepEqual([told, clock.timers], [["terminating", "stopped"], 0], `${attempts} attempts`);
  }
});

test("a request to stop with an id that is too long is none", async () => {
  const one = await ready();
  sockets[0].says({ type: "terminate_app", request_id: "x".repeat(257) });
  assert.equal(one.status.state, "ready");
  sockets[0].says({ type: "terminate_app", request_id: "x".repeat(256) });
  assert.equal(one.status.state, "terminating");
  await clock.pass(1);
  assert.equal(sockets[0].sent.at(-1).request_id.length, 256);
  one.close();
});

test("an upgrade that hangs is given up, and so is a token that never comes", async () => {
  const one = new Watcher(URL, { webSocket: FakeSocket, jitter: false, token: () => new Promise(() => {}) });
  await clock.pass(5_001);
  assert.equal(sockets.length, 1);
  await clock.pass(60_000);
  assert.equal(one.status.why, "no connection in time");
  one.close();
});

test("the old picture goes as the new one begins", async () => {
  const one = await watcher();
  const tell = (id, status) => sockets.at(-1).says({ type: "client_status_changed", id, status, snapshot: true });
  tell("a", "online");
  tell("b", "offline");
  sockets[0].ends(1006);
  assert.equal(one.agents.size, 2);
  await clock.pass(1_001);
  sockets[1].onopen();
  assert.equal(one.agents.size, 2);
  tell("a", "online");
  assert.deepEqual([...one.agents.keys()], ["a"]);
  one.close();
});

test("a server that does not answer says nothing of its maintenance", async () => {
  const one = await watcher();
  const told = [];
  one.addEventListener("maintenance", ({ detail }) => told.push(detail.enabled));
  sockets[0].says({ type: "maintenance_changed", enabled: true });
  document = {};
  sockets[0].ends(1006);
  await clock.pass(1_001);
  assert.equal(one.status.health, "unreachable");
  assert.deepEqual(told, [true]);
  document = { status: "ok" };
  await clock.pass(2_000);
  assert.deepEqual(told, [true, false]);
  one.close();
});

test("retry has all attempts ahead, in the middle of a wait too", async () => {
  const one = await watcher({ attempts: 3 });
  let gaveUp = 0;
  one.addEventListener("gaveup", () => (gaveUp += 1));
  document = {};
  sockets[0].ends(1006);
  await clock.pass(1_500);
  assert.equal(one.status.attempt, 1);
  one.retry();
  await clock.pass(1);
  assert.deepEqual([one.status.attempt, gaveUp], [0, 0]);
  one.close();
});

test("given up and forbidden are told, and retry goes on", async () => {
  const one = await watcher({ attempts: 1, cap: 1 });
  const told = [];
  for (const type of ["gaveup", "forbidden", "stopped"]) one.addEventListener(type, ({ detail }) => told.push([type, detail.why]));
  sockets[0].says({ type: "error", code: "forbidden", message: "operators only" });
  assert.deepEqual(told, [["forbidden", "operators only"]]);
  assert.equal(clock.timers, 0);
  one.retry("another");
  await clock.pass(1);
  sockets[1].onopen();
  assert.equal(sockets[1].sent[0].token, "another");
  document = {};
  sockets[1].ends(1006);
  await clock.pass(10_000);
  assert.deepEqual(told.at(-1), ["gaveup", "the server does not answer"]);
  document = { status: "ok" };
  one.retry();
  await clock.pass(1);
  assert.equal(sockets.length, 3);
  one.close();
});

test("where ids are made anew all the time a watcher's agents do not grow for ever", async () => {
  const one = await watcher({ snapshot: false });
  const socket = sockets.at(-1);
  socket.says({ type: "server_status_response" });
  for (let n = 0; n < 250_000; n++) one.agents.set(`a-${n}`, { id: `a-${n}` });
  for (let n = 250_000; n < 250_010; n++) socket.says({ type: "client_status_changed", id: `a-${n}`, status: "offline" });
  assert.equal(one.agents.size, 250_000);
  assert.equal(one.agents.has("a-9"), false);
  assert.equal(one.agents.has("a-10"), true);
  one.close();
});
