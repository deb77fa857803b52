// The Socket.IO dialect against a server that says what the test tells it to, over the real library.

import assert from "node:assert/strict";
import { once } from "node:events";
import { afterEach, beforeEach, mock, test } from "node:test";
import { io } from "socket.io-client";
import { WebSocketServer } from "ws";
import { Agent } from "../src/index.js";
import { socketio } from "../src/socketio.js";

const OPEN = '0{"sid":"s","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}';
const ACK = '42["app_ready_ack",{"status":"ok"}]';
let server;
let agents;

beforeEach(async () => {
  agents = [];
  mock.method(globalThis, "fetch", async () => new Response('{"status":"ok"}'));
  server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  await once(server, "listening");
});
afterEach(() => {
  for (const one of agents) one.close();
  for (const one of server.clients) one.terminate();
  server.close();
  mock.restoreAll();
});

/** Each connection gets these packets: some before it is let in, the others behind that. */
function serve(before, behind) {
  server.on("connection", (connection) => {
    connection.send(OPEN);
    connection.on("message", (data) => {
      if (!String(data).startsWith("40")) return;
      for (const packet of [...before, '40{"sid":"y"}', ...behind]) connection.send(packet);
    });
  });
}

function start(instanceId, dialect = socketio(io, { transports: ["websocket"] })) {
  const one = new Agent(`http://127.0.0.1:${server.address().port}`, { instanceId, dialect });
  agents.push(one);
  one.start();
  return one;
}

/** @returns {Promise<any>} what the first such event tells */
const first = (one, type, fits = () => true) =>
  new Promise((resolve) => one.addEventListener(type, ({ detail }) => fits(detail) && resolve(detail)));

test("what comes before the client is let in is not heard", async () => {
  serve(['42["server_shutdown",{"reconnectAfter":1}]', '42["app_ready_ack",{"status":"ok"}]'], ['42["note",{"n":1}]', ACK]);
  const one = start("a-1");
  const shutdowns = [];
  one.addEventListener("shutdown", ({ detail }) => shutdowns.push(detail));
  await first(one, "state", ({ state }) => state === "ready");
  assert.deepEqual(shutdowns, []);
});

test("a message that is nested too deeply to be written anew ends nothing", async () => {
  const deep = `${"[".repeat(50_000)}${"]".repeat(50_000)}`;
  serve([], [ACK, `42["deep",{"a":${deep}}]`, '42["note",{"n":1}]']);
  const one = start("a-1");
  assert.equal((await first(one, "message", ({ type }) => type === "note")).n, 1);
});

test("bytes come as bytes", async () => {
  serve([], [ACK, '451-["picture",{"data":{"_placeholder":true,"num":0}}]', Buffer.from([1, 2, 3])]);
  const { data } = await first(start("a-1"), "message");
  assert.deepEqual([...data], [1, 2, 3]);
});

test("clients of one dialect have connections of their own", async () => {
  serve([], [ACK]);
  const dialect = socketio(io, { transports: ["websocket"] });
  const both = [start("a-1", dialect), start("a-2", dialect)];
  await Promise.all(both.map((one) => first(one, "state", ({ state }) => state === "ready")));
  assert.equal(server.clients.size, 2);
});
