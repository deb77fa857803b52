// What the health page says, asked of a real HTTP server.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after as afterAll, test } from "node:test";
import { health, look } from "../src/health.js";

let answer;
const seen = [];
const server = createServer((request, response) => {
  seen.push(request);
  answer(response);
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const url = `http://127.0.0.1:${server.address().port}/deepstream/health`;
afterAll(() => server.close());

const says = (status, body, headers = {}) => (response) => {
  response.writeHead(status, headers).end(typeof body === "string" ? body : JSON.stringify(body));
};

test("a word for each document", async () => {
  for (const [status, body, expected] of [
    [200, { status: "ok" }, "ok"],
    [503, { status: "shutting_down" }, "shutting_down"],
    [200, { status: "shutting_down" }, "shutting_down"],
    [503, { status: "ok", websocket: { is_shutting_down: true } }, "shutting_down"],
    [200, { status: "ok", maintenance: true }, "ok"],
    [200, { status: "fine" }, "unreachable"],
    [200, "null", "unreachable"],
    [200, "[1]", "unreachable"],
    [502, "<html>", "unreachable"],
    [200, "", "unreachable"],
  ]) {
    answer = says(status, body);
    assert.equal(await health(url), expected, JSON.stringify(body));
  }
});

test("it stays a simple request: no header of ours costs a preflight", async () => {
  answer = says(200, { status: "ok" });
  await health(url);
  const { method, headers } = seen.at(-1);
  assert.equal(method, "GET");
  for (const name of ["authorization", "content-type", "x-requested-with"]) assert.equal(headers[name], undefined);
});

test("Retry-After of a 429 or 503 is told, in milliseconds", async () => {
  const date = "Sun, 06 Nov 1994 08:49:37 GMT";
  for (const [status, value, expected] of [
    [503, "7", 7_000], [429, " 120 ", 120_000], [200, "7", undefined], [503, "soon", undefined],
    [503, "Sun, 06 Nov 1994 08:49:57 GMT", 20_000],
    [503, "Sun, 06 Nov 1994 08:49:17 GMT", 0], [503, "-1", undefined],
  ]) {
    answer = says(status, "", { "retry-after": value, date });
    assert.equal((await look(url)).retryAfter, expected, `${status} ${value}`);
  }
});

test("one that does not answer in time, or trickles, is unreachable", async () => {
  answer = () => {};
  assert.equal(await health(url, { timeout: 50 }), "unreachable");
  answer = (response) => {
    response.writeHead(200);
    const timer = setInterval(() => response.write(" "), 10);
    response.on("close", () => clearInterval(timer));
  };
  assert.equal(await health(url, { timeout: 200 }), "unreachable");
  assert.equal(await health("http://127.0.0.1:9/"), "unreachable");
});

test("a signal ends it", async () => {
  answer = () => {};
  const run = new AbortController();
  const asked = health(url, { signal: run.signal });
  run.abort();
  assert.equal(await asked, "unreachable");
  assert.equal(await health(url, { signal: run.signal }), "unreachable");
});
