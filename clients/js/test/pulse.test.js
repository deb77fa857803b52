// Whether the other end lives: a machine that slept, a hidden tab, and an end that is really dead.

import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { makePulse } from "../src/pulse.js";
import { makeClock } from "./clock.js";

let clock;
beforeEach(() => {
  clock = makeClock();
});
afterEach(() => clock.restore());

function make({ answers = true } = {}) {
  const found = { probes: 0, deaths: 0, answers };
  found.pulse = makePulse(
    () => {
      found.probes += 1;
      if (found.answers) Promise.resolve().then(() => found.pulse.heard());
    },
    () => {
      found.deaths += 1;
      found.pulse.stop();
    },
  );
  return found;
}

test("it asks after a silence only, and is content with any answer", async () => {
  const one = make();
  one.pulse.start(5_000, 10_000);
  for (let n = 0; n < 10; n += 1) {
    await clock.pass(4_000);
    one.pulse.heard();
  }
  assert.equal(one.probes, 0);
  await clock.pass(100_000);
  assert.ok(one.probes >= 8 && one.probes <= 10, `${one.probes}`);
  assert.equal(one.deaths, 0);
});

test("a regular one asks after each interval, whatever comes", async () => {
  const one = make();
  one.pulse.start(30_000);
  for (let n = 0; n < 100; n += 1) {
    await clock.pass(3_000);
    one.pulse.heard();
  }
  assert.equal(one.probes, 10);
});

test("three questions without an answer are the end, told once", async () => {
  const one = make({ answers: false });
  one.pulse.start(5_000, 10_000);
  await clock.pass(24_900);
  assert.deepEqual([one.probes, one.deaths], [3, 0]);
  await clock.pass(200);
  assert.equal(one.deaths, 1);
  await clock.pass(600_000);
  assert.deepEqual([one.deaths, clock.timers], [1, 0]);
});

test("what was answered in the last turn counts", async () => {
  const one = make({ answers: false });
  one.pulse.start(5_000, 10_000);
  await clock.pass(24_999);
  // The tick that would end it and the answer come in one turn of the loop, the answer behind the tick.
  const { setTimeout } = globalThis;
  setTimeout(() => {}, 0);
  one.answers = true;
  queueMicrotask(() => one.pulse.heard());
  await clock.pass(2);
  assert.equal(one.deaths, 0);
  one.pulse.stop();
});

test("a machine that slept finds its connection alive", async () => {
  const one = make();
  one.pulse.start(5_000, 10_000);
  await clock.pass(10_000);
  one.answers = false;
  await clock.pass(10_000);
  // It falls asleep with a question unanswered, for the night.
  await clock.sleep(8 * 3_600_000);
  assert.equal(one.deaths, 0);
  one.answers = true;
  await clock.pass(60_000);
  assert.equal(one.deaths, 0);
  one.pulse.stop();
});

test("a machine that slept finds its connection dead within half a minute", async () => {
  const one = make();
  one.pulse.start(5_000, 10_000);
  await clock.pass(9_000);
  one.answers = false;
  await clock.sleep(3_600_000);
  assert.equal(one.deaths, 0);
  await clock.pass(30_000);
  assert.equal(one.deaths, 1);
});

test("in a hidden tab a living end lives, and a dead one is found in minutes", async () => {
  const one = make();
  one.pulse.start(5_000, 10_000);
  for (let n = 0; n < 60; n += 1) await clock.sleep(60_000);
  assert.equal(one.deaths, 0);
  one.answers = false;
  for (let n = 0; n < 6; n += 1) await clock.sleep(60_000);
  assert.equal(one.deaths, 1);
});

test("a stopped one asks nothing, even when it is told to", async () => {
  const one = make();
  one.pulse.ask();
  one.pulse.start(5_000, 10_000);
  one.pulse.stop();
  one.pulse.ask();
  await clock.pass(60_000);
  assert.deepEqual([one.probes, clock.timers], [0, 0]);
});
