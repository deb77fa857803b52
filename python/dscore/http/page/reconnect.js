"use strict";

// When the page comes back: the table of the wire contract's section 7, for pages.

const ATTEMPTS = 10;
const CAP = 30;
// Only a connection that lived this long sets the count of attempts back.
const STABLE_MS = 10_000;
const HEALTH_TIMEOUT_MS = 5_000;
// The way from the page to the server's own paths: the page may be anywhere (listen.page).
const ROOT = document.documentElement.dataset.root;

/** The row for a connection that was closed like this. */
function rowOf(code, reason) {
  const isFinal = code === 4409 || (code === 1000 && reason === "Client terminated")
    || (code === 1008 && reason === "authentication failed");
  if (isFinal) return "final";
  if (code === 1001) return "going_away";
  return code === 1013 ? "shutting_down" : "other";
}

/** Seconds before attempt n, from 0; `random` spreads what lies above the row's least wait. */
function delayOf(row, n, random = Math.random) {
  const doubled = Math.min(2 ** n, CAP);
  let least = 0;
  let most = doubled;
  if (row === "going_away") {
    least = 5;
    most = Math.max(5, doubled);
  } else if (row === "shutting_down") {
    least = 10;
    most = Math.min(10 + 5 * n, CAP);
  }
  return least + (most - least) * random();
}

/** Asks for the server's health before each attempt, waits between them, gives up after ten. */
class SmartReconnector {
  /**
   * @param {() => void} connect opens the WebSocket.
   * @param {(state: {state: string, until?: number, attempt?: number, why?: string}) => void} tell
   *     shows what it does: "connecting", "waiting" until a time, "gave_up", "stopped".
   */
  constructor(connect, tell) {
    this.connect = connect;
    this.tell = tell;
    this.attempt = 0;
    this.hint = null;
    this.openedAt = null;
    this.timer = null;
    // Each try has a number: what an earlier one still hears is dropped.
    this.current = 0;
  }

  /** Tries at once, with all attempts ahead. */
  begin() {
    this.attempt = 0;
    this.try();
  }

  opened() {
    this.openedAt = performance.now();
  }

  /** The server named the time to come back; it counts from the close. */
  hinted(milliseconds) {
    this.hint = milliseconds / 1000;
  }

  /** The connection has ended, or never came about. */
  closed(code, reason) {
    if (this.openedAt !== null) {
      const isStable = performance.now() - this.openedAt >= STABLE_MS;
      this.attempt = isStable ? 0 : this.attempt + 1;
      this.openedAt = null;
    } else {
      this.attempt += 1;
    }
    this.wait(rowOf(code, reason), reason);
  }

  /** Ends whatever runs; only `begin` goes on. */
  stop() {
    clearTimeout(this.timer);
    this.current += 1;
    this.openedAt = null;
  }

  wait(row, why) {
    const hint = this.hint;
    this.hint = null;
    if (row === "final") {
      this.tell({ state: "stopped", why });
    } else if (this.attempt >= ATTEMPTS) {
      this.tell({ state: "gave_up", why });
    } else {
      const milliseconds = 1000 * (hint ?? delayOf(row, this.attempt));
      this.tell({ state: "waiting", until: Date.now() + milliseconds, attempt: this.attempt, why });
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.try(), milliseconds);
    }
  }

  async try() {
    this.stop();
    const mine = this.current;
    this.tell({ state: "connecting" });
    const status = await healthStatus();
    if (mine !== this.current) return;
    if (status === "ok") {
      this.connect();
      return;
    }
    this.attempt += 1;
    const isDraining = status === "shutting_down";
    this.wait(isDraining ? "shutting_down" : "other",
      isDraining ? "the server is shutting down" : "the server does not answer");
  }
}

/** What the health document says, or "unreachable". */
async function healthStatus() {
  try {
    const signal = AbortSignal.timeout(HEALTH_TIMEOUT_MS);
    const answer = await fetch(`${ROOT}deepstream/health`, { signal, cache: "no-store" });
    return (await answer.json()).status;
  } catch {
    return "unreachable";
  }
}
