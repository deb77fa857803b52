/** Time that a test lets pass: `setTimeout` and `performance.now` of this process, and a machine that sleeps. */

import { mock } from "node:test";

export function makeClock() {
  let now = 1_000;
  let next = 1;
  /** @type {Map<number, { at: number, run: () => void }>} */
  const timers = new Map();
  const fake = {
    setTimeout: (listener, wait = 0, ...args) => {
      timers.set(next, { at: now + wait, run: () => listener(...args) });
      return next++;
    },
    clearTimeout: (id) => timers.delete(id),
  };
  mock.method(globalThis, "setTimeout", fake.setTimeout);
  mock.method(globalThis, "clearTimeout", fake.clearTimeout);
  mock.method(performance, "now", () => now);

  /** Promises that wait for nothing else run to their end. */
  async function settle() {
    for (let n = 0; n < 20; n += 1) await Promise.resolve();
  }

  async function runDue() {
    for (;;) {
      const [due] = [...timers].filter(([, { at }]) => at <= now).sort(([, a], [, b]) => a.at - b.at);
      if (!due) return;
      timers.delete(due[0]);
      due[1].run();
      await settle();
    }
  }

  return {
    settle,
    get timers() {
      return timers.size;
    },
    get now() {
      return now;
    },
    /** Time passes, timers on time. */
    async pass(ms) {
      const until = now + ms;
      await settle();
      for (;;) {
        const at = Math.min(...[...timers.values()].map((one) => one.at));
        if (at > until) break;
        now = Math.max(now, at);
        await runDue();
      }
      now = until;
    },
    /** The machine sleeps, or the tab is hidden: every timer that is due runs late, at the end. */
    async sleep(ms) {
      now += ms;
      await runDue();
    },
    restore: () => mock.restoreAll(),
  };
}
