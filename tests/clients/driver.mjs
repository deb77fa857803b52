// Socket.IO clients as a program: commands in, one JSON object a line; what happens to the clients out, in the same form.
//
//     {"do": "connect", "client": 1, "library": "js-4", "url": "…", "options": {}, "listen": ["note"], "answers": {}, "greeting": []}
//     {"do": "emit", "client": 1, "event": "note", "args": [{}], "ack": 7}
//     {"do": "disconnect", "client": 1}
//     {"do": "forget", "client": 1}
//
//     {"client": 1, "what": "event", "name": "note", "args": [{}]}
//
// The libraries are used as they are; nothing of theirs is replaced. Bytes travel as {"$bytes": base64}. It ends with its stdin.

import { createInterface } from "node:readline";
import io2 from "socket.io-client-2";
import { io as io3 } from "socket.io-client-3";
import { io as io4 } from "socket.io-client-4";

const LIBRARIES = { "js-2": io2, "js-3": io3, "js-4": io4 };
const sockets = new Map();

function say(client, what, name, args = []) {
  process.stdout.write(`${JSON.stringify({ client, what, name, args: pack(args) })}\n`);
}

function pack(value) {
  if (value instanceof ArrayBuffer) return { $bytes: Buffer.from(value).toString("base64") };
  if (ArrayBuffer.isView(value)) {
    return { $bytes: Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("base64") };
  }
  if (Array.isArray(value)) return value.map(pack);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, pack(member)]));
}

function unpack(key, value) {
  return value !== null && typeof value === "object" && "$bytes" in value ? Buffer.from(value.$bytes, "base64") : value;
}

function connect({ client, library, url, options, listen, answers, greeting }) {
  // Clients of one process would share a connection otherwise.
  const socket = LIBRARIES[library](url, { ...options, forceNew: true });
  sockets.set(client, socket);
  socket.on("connect", () => {
    say(client, "connect", socket.io.engine.transport.name);
    for (const [event, ...args] of greeting) socket.emit(event, ...args);
  });
  socket.on("disconnect", (reason) => say(client, "disconnect", reason));
  socket.on("connect_error", (error) => say(client, "connect_error", error.message ?? String(error)));
  socket.io.on("reconnect_attempt", () => say(client, "reconnect_attempt", ""));
  for (const event of listen) {
    socket.on(event, (...args) => {
      const acknowledge = typeof args.at(-1) === "function" ? args.pop() : undefined;
      say(client, "event", event, args);
      if (acknowledge && event in answers) acknowledge(...answers[event]);
    });
  }
  watchEngines(client, socket);
}

// Each attempt has an engine of its own, and only that tells of an upgrade.
function watchEngines(client, socket) {
  const watch = () => socket.io.engine.on("upgrade", (transport) => say(client, "upgrade", transport.name));
  watch();
  // It is told of before the engine is made, in the same breath.
  socket.io.on("reconnect_attempt", () => queueMicrotask(watch));
}

const COMMANDS = {
  connect,
  emit({ client, event, args, ack }) {
    const acknowledged = (...values) => say(client, "ack", String(ack), values);
    sockets.get(client).emit(event, ...args, ...(ack === null ? [] : [acknowledged]));
  },
  disconnect({ client }) {
    sockets.get(client).disconnect();
  },
  forget({ client }) {
    const socket = sockets.get(client);
    sockets.delete(client);
    socket.io.reconnection(false);
    socket.disconnect();
    socket.io.engine?.close();
  },
};

const lines = createInterface({ input: process.stdin });
lines.on("line", (line) => {
  const command = JSON.parse(line, unpack);
  COMMANDS[command.do](command);
});
lines.on("close", () => process.exit());
