// The exchange on node's `ws`.

import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createServer as createSecureServer } from "node:https";
import { WebSocketServer } from "ws";

const NEXT_HEARTBEAT_MS = 30_000;

const agents = new Map(); // id -> socket
const waiting = new Map(); // request id -> socket
let draining = false;
let told = 0;
let acked = 0;

// A certificate and its key may follow the port.
const [port, certificate, key] = process.argv.slice(2);
const http = certificate
  ? createSecureServer({ cert: readFileSync(certificate), key: readFileSync(key) })
  : createServer();
const server = new WebSocketServer({ server: http, perMessageDeflate: false });
http.listen({ host: "127.0.0.1", port: Number(port), backlog: 4096 });

server.on("connection", (socket) => {
  let id;
  socket.on("message", (data) => {
    const message = JSON.parse(data);
    switch (message.type) {
      case "app_ready":
        id = message.instance_id;
        agents.set(id, socket);
        send(socket, {
          type: "app_ready_ack",
          status: "ok",
          session_restored: false,
          server_status: "running",
          nextHeartbeatIn: NEXT_HEARTBEAT_MS,
        });
        break;
      case "heartbeat":
        send(socket, {
          type: "heartbeat_response",
          status: "ok",
          timestamp: new Date().toISOString(),
          message: "heartbeat received",
          nextHeartbeatIn: NEXT_HEARTBEAT_MS,
        });
        break;
      case "app_terminated":
        if (message.status === "OK" && waiting.get(message.request_id) === socket) {
          waiting.delete(message.request_id);
          acked += 1;
          socket.close(1000, "Client terminated");
        }
        break;
    }
  });
  socket.on("error", () => {}); // "close" follows
  socket.on("close", () => {
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
    send(socket, { type: "terminate_app", request_id, reason: "Server shutting down" });
  }
  exitWhenEmpty();
});

function send(socket, message) {
  socket.send(JSON.stringify(message));
}

function exitWhenEmpty() {
  if (draining && agents.size === 0) {
    process.exit(acked === told ? 0 : 3);
  }
}
