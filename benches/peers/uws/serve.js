// The exchange on uWebSockets.js.

import { randomUUID } from "node:crypto";
import uws from "./native.js";

const HOST = "127.0.0.1";
const NEXT_HEARTBEAT_MS = 30_000;

const agents = new Map(); // id -> socket
const waiting = new Map(); // request id -> socket
const decoder = new TextDecoder();
let draining = false;
let told = 0;
let acked = 0;

// A certificate and its key may follow the port.
const [port, cert_file_name, key_file_name] = process.argv.slice(2);
const app = cert_file_name ? uws.SSLApp({ cert_file_name, key_file_name }) : uws.App();

app.ws("/deepstream/ws", {
  compression: uws.DISABLED,
  sendPingsAutomatically: false,
  idleTimeout: 0,
  message: (socket, data) => {
    const message = JSON.parse(decoder.decode(data));
    switch (message.type) {
      case "app_ready":
        socket.getUserData().id = message.instance_id;
        agents.set(message.instance_id, socket);
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
          socket.end(1000, "Client terminated");
        }
        break;
    }
  },
  close: (socket) => {
    agents.delete(socket.getUserData().id);
    exitWhenEmpty();
  },
});

app.listen(HOST, Number(port), uws.LIBUS_LISTEN_EXCLUSIVE_PORT, (listening) => {
  if (!listening) {
    console.error(`cannot listen on port ${port}`);
    process.exit(1);
  }
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
  socket.send(JSON.stringify(message), false);
}

function exitWhenEmpty() {
  if (draining && agents.size === 0) {
    // The last close frame leaves when the handler that is running has returned.
    setImmediate(() => process.exit(acked === told ? 0 : 3));
  }
}
