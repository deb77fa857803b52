// The vectors that all clients share: rows, waits, hints and whole lives of the machine.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Reconnector, rowOf } from "../src/reconnect.js";

const vectors = JSON.parse(readFileSync(new URL("../../../tests/vectors/reconnect.json", import.meta.url), "utf8"));

const camel = (name) => name.replace(/_(.)/g, (_, letter) => letter.toUpperCase());
const inMs = ([name, value]) => [camel(name), typeof value === "number" ? value * 1000 : value];
const policies = Object.fromEntries(
  Object.entries(vectors.policies).map(([name, policy]) => [name, Object.fromEntries(Object.entries(policy).map(inMs))]),
);
const near = (found, expected, what) => {
  if (expected === null) assert.equal(found, null, what);
  else assert.ok(Math.abs(found - 1000 * expected) < 0.001, `${what}: ${found} ms, not ${expected} s`);
};

test("each close code has its row, for agents and for pages", () => {
  assert.ok(vectors.rows.length > 10);
  for (const { code, reason, agent, page } of vectors.rows) {
    assert.equal(rowOf(code, reason), agent, `${code} ${reason}`);
    assert.equal(rowOf(code, reason, true), page, `${code} ${reason}`);
  }
});

test("each wait of the table", () => {
  assert.ok(vectors.waits.length > 500);
  for (const { policy, row, n, draw, wait } of vectors.waits) {
    const one = new Reconnector(policies[policy], () => draw);
    one.begin();
    one.attempt = n - 1;
    near(one.refused(row), wait, `${policy}, ${row}, ${n}, ${draw}`);
  }
});

test("each hint", () => {
  for (const { reconnectAfter, wait } of vectors.hints) {
    const one = new Reconnector(policies["agent, exact"]);
    one.begin();
    one.opened(0);
    one.hinted(reconnectAfter);
    near(one.closed(1001, "", 60_000), wait, `${reconnectAfter}`);
  }
});

test("a hint that is missing or no number leaves the table in force", () => {
  for (const hint of [undefined, NaN, {}, [], "", true, -1]) {
    const one = new Reconnector({ jitter: false });
    one.begin();
    one.opened(0);
    one.hinted(hint);
    assert.equal(one.closed(1001, "", 60_000), 5_000);
    assert.equal(one.isHinted, false);
  }
});

for (const { name, policy, steps } of vectors.lives) {
  test(`a life: ${name}`, () => {
    const one = new Reconnector(policies[policy]);
    one.begin();
    for (const { event, row, now, code, reason, seconds, retry_after: retryAfter, ...expected } of steps) {
      const found = {
        due: () => one.due(),
        opened: () => one.opened(1000 * now),
        hinted: () => one.hinted(1000 * seconds),
        refused: () => one.refused(row, retryAfter === undefined ? undefined : 1000 * retryAfter),
        closed: () => one.closed(code, reason, 1000 * now),
        renewed: () => one.renewed(),
      }[event]();
      if ("wait" in expected) near(found, expected.wait, `${event} ${row ?? code}`);
      assert.equal(one.attempts, expected.attempts);
    }
  });
}

const EVENTS = {
  begin: (one) => one.begin(),
  due: (one) => one.due(),
  refused: (one) => one.refused(),
  opened: (one) => one.opened(0),
  hinted: (one) => one.hinted(1000),
  closed: (one) => one.closed(1006, "", 0),
  "closed for good": (one) => one.closed(1000, "Client terminated", 0),
  renewed: (one) => one.renewed(),
  stop: (one) => one.stop(),
};
const TABLE = {
  "idle begin": "attempting",
  "stopped begin": "attempting",
  "waiting due": "attempting",
  "waiting renewed": "waiting",
  "attempting refused": "waiting",
  "attempting opened": "connected",
  "connected hinted": "connected",
  "connected closed": "waiting",
  "connected closed for good": "stopped",
};

for (const phase of ["idle", "waiting", "attempting", "connected", "stopped"]) {
  for (const [event, happen] of Object.entries(EVENTS)) {
    test(`a cell: ${phase}, ${event}`, () => {
      const one = new Reconnector();
      one.phase = phase;
      const following = event === "stop" ? "stopped" : TABLE[`${phase} ${event}`];
      if (following === undefined) assert.throws(() => happen(one), /not/);
      else happen(one);
      assert.equal(one.phase, following ?? phase);
    });
  }
}
