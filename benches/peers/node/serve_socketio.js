// The exchange on npm's `socket.io`, by WebSocket alone.

import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { Server } from "socket.io";

const NEXT_HEARTBEAT_MS = 30_000;

const agents = new Map(); // id -> socket
const waiting = new Map(); // request id -> socket
let draining = false;
let told = 0;
let acked = 0;

const http = createServer();
const io = new Server(http, {
  transports: ["websocket"],
  serveClient: false,
  pingInterval: 30_000,
  pingTimeout: 120_000,
});

// What its documentation advises where memory counts: let go of the request of the upgrade.
io.engine.on("connection", (connection) => {
  connection.request = null;
});

io.on("connection", (socket) => {
  let id;
  socket.on("app_ready", (message) => {
    id = message.instance_id;
    agents.set(id, socket);
    socket.emit("app_ready_ack", {
      status: "ok",
      session_restored: false,
      server_status: "running",
      nextHeartbeatIn: NEXT_HEARTBEAT_MS,
    });
  });
  socket.on("heartbeat", () => {
    socket.emit("heartbeat_response", {
      status: "ok",
      timestamp: new Date().toISOString(),
      message: "heartbeat received",
      nextHeartbeatIn: NEXT_HEARTBEAT_MS,
    });
  });
  socket.on("app_terminated", (message) => {
    if (message.status === "OK" && waiting.get(message.request_id) === socket) {
      waiting.delete(message.request_id);
      acked += 1;
      socket.disconnect(true);
    }
  });
  // Of Engine.IO: "disconnect" of Socket.IO comes before anything was sent.
  socket.conn.on("close", () => {
    agents.delete(id);
    exitWhenEmpty();
  });
});

process.once("SIGTERM", () => {
  draining = true;
  for (const socket of agents.values()) {
    const request_id = randomUUID();
    waiting.set(request_id, socket);
    told += 1;
    socket.emit("terminate_app", { request_id, reason: "Server shutting down" });
  }
  exitWhenEmpty();
});

function exitWhenEmpty() {
  if (draining && agents.size === 0) {
    process.exit(acked === told ? 0 : 3);
  }
}

http.listen({ host: "127.0.0.1", port: Number(process.argv[2]), backlog: 4096 });
