/** What the server's health page says, as far as a client cares. */

import { parse } from "./json.js";

/**
 * @typedef {object} HealthOptions
 * @property {number} [timeout] for everything together, in milliseconds
 * @property {AbortSignal} [signal] ends it; the answer is "unreachable" then
 * @property {typeof globalThis.fetch} [fetch]
 */

/**
 * One answer.
 *
 * @typedef {object} Look
 * @property {"ok" | "shutting_down" | "unreachable"} health
 * @property {boolean} [isConnected] whether the instance that was asked about is connected
 * @property {boolean} [isMaintenance]
 * @property {number | undefined} [retryAfter] milliseconds of a `Retry-After` with 429 or 503
 */

const TIMEOUT = 5_000;
/** Characters; the page lists every instance of the fleet, and 100,000 long names fit. */
const BODY_LIMIT = 16 * 1024 * 1024;

/**
 * Asks once. It stays a simple request (Fetch, "CORS-safelisted"): any header of ours would cost a preflight.
 *
 * @param {string | URL} url the health page
 * @param {HealthOptions} [options]
 * @returns {Promise<Look["health"]>}
 */
export async function health(url, options) {
  return (await look(url, options)).health;
}

/**
 * @param {string | URL} url
 * @param {HealthOptions} [options]
 * @returns {Promise<Look>}
 */
export async function look(url, { timeout = TIMEOUT, signal, fetch = globalThis.fetch } = {}) {
  const run = new AbortController();
  const abort = () => run.abort();
  const timer = setTimeout(abort, timeout);
  signal?.addEventListener("abort", abort, run);
  if (signal?.aborted) abort();
  try {
    const response = await fetch(url, { signal: run.signal, cache: "no-store" });
    // A 503's body counts as any other: the status says nothing that the document does not.
    return { ...judge(parse(await read(response))), retryAfter: after(response) };
  } catch {
    return { health: "unreachable" };
  } finally {
    clearTimeout(timer);
    abort();
  }
}

/**
 * What is too long is cut off, and makes no sense then.
 *
 * @param {Response} response
 */
async function read({ body }) {
  const reader = body?.getReader();
  const decoder = new TextDecoder();
  let text = "";
  let part;
  while (text.length < BODY_LIMIT && (part = await reader?.read())?.value) text += decoder.decode(part.value, { stream: true });
  return text;
}

/**
 * @param {any} document
 * @returns {Look}
 */
function judge(document) {
  const isLeaving = document?.status === "shutting_down" || document?.websocket?.is_shutting_down === true;
  return {
    health: isLeaving ? "shutting_down" : document?.status === "ok" ? "ok" : "unreachable",
    isConnected: document?.instance_connected === true,
    isMaintenance: document?.maintenance === true,
  };
}

/**
 * The milliseconds of a `Retry-After` (RFC 9110 §10.2.3). A date counts from the server's own `Date`: this machine's
 * clock may be years off.
 *
 * @param {Pick<Response, "status" | "headers">} response
 * @returns {number | undefined}
 */
export function after({ status, headers }) {
  const value = headers.get("retry-after")?.trim();
  if (!value || (status !== 429 && status !== 503)) return undefined;
  if (/^\d+$/.test(value)) return /** @type {any} */ (value) * 1000;
  // What is no date is one to `Date.parse` as often as not.
  if (value.endsWith("GMT")) return Math.max(0, Date.parse(value) - Date.parse(/** @type {string} */ (headers.get("date"))));
}
