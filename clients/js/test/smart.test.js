// The machine with a timer: the DeepStream contract's SmartReconnector, and who may shorten a wait.

import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { SmartReconnector } from "../src/smart.js";
import { makeClock } from "./clock.js";

let clock;
beforeEach(() => {
  clock = makeClock();
});
afterEach(() => clock.restore());

function make(options = {}) {
  const told = [];
  const calls = { health: 0, connect: 0 };
  const one = new SmartReconnector({
    jitter: false,
    health: () => (calls.health++, "ok"),
    connect: () => (calls.connect++, Promise.reject(new Error("no connection"))),
    tell: ({ state, wait, why, attempt }) => told.push({ state, wait, why, attempt }),
    ...options,
  });
  const waits = () => told.filter(({ state }) => state === "waiting").map(({ wait }) => wait);
  return { one, told, calls, waits };
}

test("it asks for health before each attempt and gives up after ten", async () => {
  const { one, told, calls, waits } = make();
  one.attemptReconnect();
  await clock.pass(600_000);
  assert.deepEqual(waits(), [1, 2, 4, 8, 16, 30, 30, 30, 30, 30].map((seconds) => 1000 * seconds));
  assert.equal(told.at(-1).state, "gaveup");
  assert.equal(told.at(-1).why, "connection_failed");
  assert.deepEqual(calls, { health: 11, connect: 11 });
  assert.equal(clock.timers, 0);
  // It can be woken.
  one.attemptReconnect();
  await clock.settle();
  assert.equal(told.at(-1).wait, 1_000);
  one.stop();
});

test("attempts may have no end", async () => {
  const { one, told } = make({ attempts: Infinity });
  one.attemptReconnect();
  await clock.pass(3_600_000);
  assert.equal(told.at(-1).state, "waiting");
  one.stop();
});

test("the contract's two calls are enough: its reasons have their rows", async () => {
  const { one, waits } = make({ connect: () => Promise.resolve() });
  one.scheduleReconnect("server_shutting_down");
  assert.deepEqual(waits(), [10_000]);
  await clock.pass(10_000);
  assert.equal(one.retryCount, 1);
  await clock.pass(20_000);
  one.scheduleReconnect("server_going_away");
  await clock.pass(5_000);
  one.scheduleReconnect();
  assert.deepEqual(waits(), [10_000, 5_000, 2_000]);
  one.scheduleReconnect("server_shutting_down");
  assert.equal(waits().at(-1), 20_000);
  one.stop();
  assert.equal(clock.timers, 0);
});

test("health that is not ok counts as an attempt", async () => {
  const answers = ["shutting_down", "unreachable", null, { row: "other", why: "busy", retryAfter: 42_000 }, "ok"];
  const { one, told, calls } = make({ health: () => answers.shift(), connect: () => (calls.connect++, Promise.resolve()) });
  one.attemptReconnect();
  await clock.pass(120_000);
  const waited = told.filter(({ state }) => state === "waiting").map(({ wait, why }) => [wait, why]);
  assert.deepEqual(waited, [[10_000, "server_not_ready"], [2_000, "server_not_ready"], [4_000, "server_not_ready"], [42_000, "busy"]]);
  assert.equal(calls.connect, 1);
});

test("a close may be told of every socket: of one that never opened it is the attempt's end, later it is old news", async () => {
  const told = [];
  for (const order of ["closed first", "refused first"]) {
    const { one, waits } = make({
      connect: () => new Promise((_, reject) => {
        reject(new Error("no connection"));
        if (order === "closed first") one.closed(1006, "");
        else setTimeout(() => one.closed(1006, ""), 1);
      }),
    });
    one.attemptReconnect();
    await clock.pass(2_500);
    told.push([waits(), one.phase]);
    one.stop();
    one.closed(1006);
    assert.deepEqual([one.phase, clock.timers], ["stopped", 0], order);
  }
  assert.deepEqual(told, [[[1_000, 2_000], "waiting"], [[1_000, 2_000], "waiting"]]);
});

test("health that throws is no health", async () => {
  const { one, told } = make({ health: () => Promise.reject(new Error("no network")) });
  one.attemptReconnect();
  await clock.settle();
  assert.equal(told.at(-1).wait, 1_000);
  one.stop();
});

test("waking shortens only the wait after anything else", async () => {
  for (const [close, hint, isShortened] of [[1006, undefined, true], [1001, undefined, false], [1013, undefined, false],
    [1006, 9_000, false]]) {
    const { one, calls } = make({ connect: () => (calls.connect++, undefined) });
    one.attemptReconnect();
    await clock.settle();
    one.opened();
    if (hint) one.hinted(hint);
    await clock.pass(2_000);
    one.closed(close, "");
    one.wake();
    await clock.pass(100);
    assert.equal(calls.connect, isShortened ? 2 : 1, `${close} ${hint}`);
    one.stop();
  }
});

test("a network that comes back for many is not used by all in one moment", async () => {
  const { one, calls } = make({ jitter: true, random: () => 0.5, connect: () => (calls.connect++, Promise.reject(new Error())) });
  one.attemptReconnect();
  await clock.pass(20_000);
  const before = calls.connect;
  one.wake();
  await clock.pass(400);
  assert.equal(calls.connect, before);
  await clock.pass(200);
  assert.equal(calls.connect, before + 1);
  one.stop();
});

test("however often it is woken, attempts are a second apart", async () => {
  const { one, calls } = make({ attempts: Infinity });
  one.attemptReconnect();
  for (let n = 0; n < 100; n += 1) {
    await clock.pass(100);
    one.wake();
  }
  assert.ok(calls.connect <= 11, `${calls.connect}`);
  one.stop();
});

test("a wait that is shortened leaves nothing of the one before", async () => {
  const { one, calls } = make({ jitter: false, attempts: Infinity });
  one.attemptReconnect();
  await clock.pass(20_000);
  const before = calls.connect;
  one.wake();
  assert.equal(clock.timers, 1);
  await clock.pass(1);
  assert.equal(calls.connect, before + 1);
  assert.equal(clock.timers, 1);
  one.stop();
});

test("an attempt that was given up hears of nothing any more", async () => {
  const answers = [];
  const { one, told, calls } = make({
    health: () => new Promise((resolve) => answers.push(resolve)),
    connect: () => (calls.connect++, undefined),
  });
  one.attemptReconnect();
  one.attemptReconnect();
  answers[0]("ok");
  await clock.settle();
  assert.equal(calls.connect, 0);
  one.stop();
  answers[1]("ok");
  await clock.settle();
  assert.equal(calls.connect, 0);
  assert.deepEqual(told.map(({ state }) => state), ["connecting", "connecting"]);
});

test("what is called later ends with the attempt and its connection, or with the wait, that it was asked in", async () => {
  const { one } = make({ connect: () => undefined });
  const called = [];
  const plan = (name) => {
    one.later(() => called.push(`${name}, soon`), 500);
    one.later(() => called.push(`${name}, late`), 1_500);
    return one.signal;
  };
  one.attemptReconnect();
  await clock.settle();
  const attempt = plan("attempt");
  one.opened();
  await clock.pass(600);
  assert.equal(attempt.aborted, false, "the connection is of the same run as its attempt");
  one.closed(1006);
  const wait = plan("wait");
  await clock.pass(999);
  assert.deepEqual([attempt.aborted, wait.aborted], [true, false]);
  await clock.pass(1_000);
  assert.equal(wait.aborted, true);
  await clock.pass(10_000);
  assert.deepEqual(called, ["attempt, soon", "wait, soon"]);
  one.stop();
  assert.equal(clock.timers, 0);
});

test("a listener may stop it in the middle of a change", async () => {
  const { one, calls } = make({ tell: ({ state }) => state === "waiting" && one.stop() });
  one.attemptReconnect();
  await clock.pass(60_000);
  assert.deepEqual([calls.connect, clock.timers], [1, 0]);
  const first = make({ tell: ({ state }) => state === "connecting" && first.one.stop() });
  first.one.attemptReconnect();
  await clock.pass(60_000);
  assert.deepEqual([first.calls.health, clock.timers], [0, 0]);
});

test("a page is not wanted back after a takeover or for its token", async () => {
  for (const [code, reason] of [[4409, "taken over"], [1008, "authentication failed"], [1000, "Client terminated"]]) {
    const { one, told } = make({ connect: () => undefined });
    one.attemptReconnect();
    await clock.settle();
    one.opened();
    one.closed(code, reason);
    assert.equal(told.at(-1).state, "stopped");
    assert.equal(clock.timers, 0);
  }
});
