// What Node.js and the npm package ws have of a server over TLS, as one line of JSON: node tls.mjs PORT CA_FILE
import { readFileSync } from "node:fs";
import tls from "node:tls";
import WebSocket from "ws";

const port = Number(process.argv[2]);
const ca = readFileSync(process.argv[3]);

function ask(options = {}) {
  return new Promise((resolve) => {
    const socket = tls.connect({ host: "localhost", port, ca, ...options });
    let answer = "";
    let session;
    let ended = false;
    socket.on("secureConnect", () => {
      socket.write("GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    });
    socket.on("session", (ticket) => { session = ticket; });
    socket.on("data", (bytes) => { answer += bytes; });
    // With a close_notify alone: a connection that is cut is an error.
    socket.on("end", () => { ended = true; });
    socket.on("error", (error) => resolve({ code: error.code }));
    const cipher = () => socket.getCipher()?.standardName;
    let spoken;
    socket.on("secureConnect", () => {
      spoken = [socket.getProtocol(), socket.alpnProtocol, cipher(), socket.isSessionReused()];
    });
    socket.on("close", () => resolve({ status: answer.split(" ")[1], ended, spoken, session }));
  });
}

function speak() {
  return new Promise((resolve, reject) => {
    const said = [];
    const socket = new WebSocket(`wss://localhost:${port}/deepstream/ws`, { ca });
    socket.on("open", () => {
      said.push(socket.extensions);
      socket.send('{"type":"app_ready","instance_id":"npm-ws"}');
      socket.send(JSON.stringify({ type: "note", text: "x".repeat(40_000) }));
      socket.send('{"type":"heartbeat","clientName":"npm-ws"}');
    });
    socket.on("message", (text) => {
      said.push(JSON.parse(text).type);
      if (said.length === 3) socket.close(1000);
    });
    socket.on("close", (code) => resolve([...said, code]));
    socket.on("error", reject);
  });
}

const first = await ask({ ALPNProtocols: ["h2", "http/1.1"] });
const again = await ask({ session: first.session });
const chacha = await ask({ ciphers: "TLS_CHACHA20_POLY1305_SHA256" });
const old = await ask({ maxVersion: "TLSv1.2" });
const told = ({ session, ...rest }) => rest;
console.log(JSON.stringify({
  first: told(first), again: told(again), chacha: told(chacha), old, messages: await speak(),
}));
