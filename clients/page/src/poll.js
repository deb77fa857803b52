// The figures: asked for as they are shown, no more often than is cheap for the server. What takes it long is asked for
// less often, so that the readings that never rest take 0.4 % of its time, where none takes longer than LONGEST / SHARE.

import { agentPath, ask, fastest, isOpen, Refused } from "./api.js";
import { isAny, parameters } from "./query.js";
import { set, setSoon, state } from "./state.js";

const OVERVIEW = 2_000;
const TABLE = 1_000;
const QUIET = 5_000;
const DRAIN = 500;
/** Seconds that the server holds an answer back at most. */
const HELD = 10;
/** One part in so many is what each of the readings takes of a server's time at most: the four that never rest, 0.4 %. */
const SHARE = 1_000;
/** The same of a drain, which is soon over. */
const DRAIN_SHARE = 200;
/** Milliseconds; a busy machine between the two must not make the page look dead. */
const LONGEST = 10_000;
/** Rows asked for at once: a screen, and some more above and below. */
export const WINDOW = 72;

/** Whether something has changed since the rows, or the figures, were read. */
let isStale = true;
let areFiguresStale = true;
let isDrawerStale = false;

/** Something changed. @param {string} id */
export function stale(id) {
  isStale = areFiguresStale = true;
  if (id === state.query.agent) isDrawerStale = true;
}

class Poll {
  /**
   * @param {number} interval milliseconds
   * @param {() => Promise<unknown>} read
   * @param {number} [share] as SHARE; 0: an answer that is held back costs nothing
   */
  constructor(interval, read, share = SHARE) {
    this.interval = interval;
    this.share = share;
    this.read = read;
    this.timer = 0;
    this.isRunning = this.isAgain = false;
  }

  /** Now, or as soon as what runs has come back. */
  async now() {
    if (this.isRunning) {
      this.isAgain = true;
      return;
    }
    clearTimeout(this.timer);
    this.isRunning = true;
    const began = performance.now();
    try {
      await this.read();
    } catch (error) {
      // Whether the server is gone is the watcher's to find out; why it refuses, `ask` has noted.
      if (!(error instanceof Refused || error instanceof TypeError || error instanceof DOMException)) throw error;
    } finally {
      this.isRunning = false;
      // Before the first answer of all, none was the fastest.
      const took = Math.max(0, performance.now() - began - fastest);
      this.timer = setTimeout(() => this.now(), this.isAgain ? 0 : Math.max(this.interval, Math.min(LONGEST, this.share * took)));
      this.isAgain = false;
    }
  }
}

/** What watchers are not told, heartbeats that are late for one, is seen in a quiet time too. */
let countedAt = -QUIET;

const overview = new Poll(OVERVIEW, async () => {
  const now = performance.now();
  if (!isLive() || (!areFiguresStale && now - countedAt < QUIET)) return;
  areFiguresStale = false;
  countedAt = now;
  set({ facets: await ask("facets"), login: null });
});

const server = new Poll(QUIET, async () => {
  if (!isLive()) return;
  const found = await ask("status");
  set({ server: { ...found, readAt: Date.now() }, login: null, isMaintenance: found.status === "maintenance" });
});

const history = new Poll(QUIET, async () => {
  if (!isLive()) return;
  const { span } = state.query;
  const known = state.history?.span === span ? state.history : null;
  const after = known?.at.at(-1) ?? 0;
  const found = await ask(`history?span=${span}&after=${after}`);
  if (span !== state.query.span || (known && !found.at.length)) return;
  set({ history: { span, ...(known ? joined(known, found) : found) } });
});

const table = new Poll(TABLE, async () => {
  if (!isLive()) return;
  const now = Date.now();
  if (!isStale && now - readAt < QUIET) return;
  isStale = false;
  readAt = now;
  await readRows();
});
let readAt = 0;

const drawer = new Poll(QUIET, async () => {
  const id = state.query.agent;
  if (!id || !isLive()) return;
  isDrawerStale = false;
  try {
    const [detail, story] = await Promise.all([ask(agentPath(id)), ask(`${agentPath(id)}/events?limit=100`)]);
    if (id === state.query.agent) set({ agent: { id, detail, story } });
  } catch (error) {
    if (error instanceof Refused && id === state.query.agent) set({ agent: { id, error: error.status } });
    throw error;
  }
});

const drain = new Poll(DRAIN, async () => {
  if (!isDraining() || document.hidden) return;
  const found = await ask("drain");
  // What was asked for before the end may come after the report.
  if (!state.drain?.isRunning) return;
  if (found.state === "idle") set({ drain: null });
  else setSoon({ drain: { ...found, isRunning: true } });
}, DRAIN_SHARE);

/** The server holds its answer back until the drain is over, and ends after it: a report asked for later is not there. */
const drainEnd = new Poll(DRAIN, async () => {
  if (!isDraining()) return;
  const found = await ask(`drain?wait=${HELD}`);
  if (found.report) set({ drain: { ...found, isRunning: false } });
}, 0);

const isDraining = () => state.drain?.isRunning && state.link.state === "ready";

const isLive = () => isOpen() && !document.hidden;

/** @type {{ query: string, offset: number }} what the rows were read for */
let wanted = { query: "", offset: 0 };

async function readRows() {
  const given = parameters(state.query);
  const query = given.toString();
  const { offset } = wanted;
  wanted.query = query;
  given.set("offset", String(offset));
  given.set("limit", String(WINDOW));
  const found = await ask(`agents?${given}`);
  // Another filter, or another place, was chosen meanwhile.
  if (wanted.query !== query || wanted.offset !== offset) return;
  const { rows } = state;
  const isSame = rows.isHeld && rows.query === query && rows.offset === offset;
  if (!isSame) {
    set({ rows: { ...rows, query, offset, total: found.total, items: found.items, isLoaded: true, waiting: 0 } });
    return;
  }
  // Under the pointer nothing moves: what is known of the rows is renewed where they are.
  const fresh = new Map(found.items.map((/** @type {any} */ item) => [item.id, item]));
  const items = rows.items.map((item) => fresh.get(item.id) ?? item);
  const waiting = rows.items.filter((item, at) => found.items[at]?.id !== item.id).length;
  set({ rows: { ...rows, total: found.total, items, waiting } });
}

/** Shows the rows from another place on. @param {number} offset */
export function scrolledTo(offset) {
  if (offset === wanted.offset) return;
  wanted.offset = offset;
  isStale = true;
  table.now();
}

/** Another filter or order: from the top. */
export function rowsAnew() {
  wanted.offset = 0;
  isStale = true;
  table.now();
}

/** The pointer or the focus is in the table, or has left it. @param {boolean} isHeld */
export function hold(isHeld) {
  if (state.rows.isHeld === isHeld) return;
  set({ rows: { ...state.rows, isHeld, waiting: 0 } });
  if (!isHeld) rowsAgain();
}

export function rowsAgain() {
  isStale = true;
  table.now();
}

/** All of it, now. */
export function refresh() {
  areFiguresStale = true;
  overview.now();
  server.now();
  history.now();
  rowsAgain();
  drain.now();
  drainEnd.now();
  if (state.query.agent) drawer.now();
}

export const historyAnew = () => history.now();
export const drawerAnew = () => drawer.now();

/**
 * @param {any} known
 * @param {any} found
 */
function joined(known, found) {
  // By the server's clock: that of a wall display may be hours off.
  const first = found.at.at(-1) - (known.span === "hour" ? 3_600_000 : 86_400_000);
  const from = Math.max(0, known.at.findIndex((/** @type {number} */ at) => at > first));
  const join = (/** @type {number[]} */ one, /** @type {number[]} */ other) => [...one.slice(from), ...other];
  const states = Object.fromEntries(Object.entries(known.states).map(([name, counts]) => [name, join(/** @type {any} */ (counts), found.states[name])]));
  return { at: join(known.at, found.at), states, connects: join(known.connects, found.connects), disconnects: join(known.disconnects, found.disconnects) };
}

/** Begins. */
export function poll() {
  for (const one of [overview, server, history, table, drawer, drain, drainEnd]) one.now();
  setInterval(() => isDrawerStale && drawer.now(), 1_000);
  document.addEventListener("visibilitychange", () => document.hidden || refresh());
}

/** Whether there is no agent at all. */
export const isEmptyFleet = () => state.facets?.total === 0 && isAny(state.query);
