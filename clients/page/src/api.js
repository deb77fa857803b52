// The operator API. The token is kept in this tab only.

import { set, state } from "./state.js";
import { currentLanguage } from "./words.js";

/** The way from the page to the server's own paths: the page may be anywhere (listen.page). */
export const ROOT = document.documentElement.dataset.root ?? "";
const KEY = "dscore-token";
const TIMEOUT = 15_000;

let token = given() ?? sessionStorage.getItem(KEY) ?? "";

/** Milliseconds of the fastest answer so far: what others take beyond it is the server's work, not the network's. */
export let fastest = Infinity;

export const currentToken = () => token;

/** @param {string} text */
export function setToken(text) {
  token = text;
  sessionStorage.setItem(KEY, text);
}

/** The token behind the # of an address that `dscore page` has printed; taken out of the address, so that neither the
 * history nor a copy of the address keeps it. */
export function given() {
  const found = new URLSearchParams(location.hash.slice(1)).get("token");
  if (!found) return null;
  sessionStorage.setItem(KEY, found);
  history.replaceState(null, "", location.pathname + location.search);
  return found;
}

export class Refused extends Error {
  /**
   * @param {number} status
   * @param {string} detail
   */
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

/**
 * Asks; throws `Refused` where it is refused, and something else where there is no server.
 *
 * @param {string} path
 * @param {{ method?: string, body?: unknown }} [options]
 */
export async function ask(path, { method = "GET", body } = {}) {
  const headers = { "accept-language": currentLanguage(), ...(token && { authorization: `Bearer ${token}` }), ...(body && { "content-type": "application/json" }) };
  const signal = AbortSignal.timeout(TIMEOUT);
  const began = performance.now();
  const answer = await fetch(`${ROOT}api/v1/${path}`, { method, headers, signal, cache: "no-store", body: body && JSON.stringify(body) });
  fastest = Math.min(fastest, performance.now() - began);
  if (answer.ok) return answer.status === 204 ? null : answer.json();
  const problem = await answer.json().catch(() => null);
  if (answer.status === 401 && method === "GET") set({ login: token ? "wrong" : "reading" });
  throw new Refused(answer.status, problem?.detail ?? `HTTP ${answer.status}`);
}

/** Of agents named "." or ".." no browser can ask: it takes them for steps in the path. @param {string} id */
export const agentPath = (id) => `agents/${encodeURIComponent(id)}`;

/** Whether the operator API answers for more than a drain. */
export const isOpen = () => !state.login && !state.drain?.isRunning;
