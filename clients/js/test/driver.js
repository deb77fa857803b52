// A stage in Node: the body of an async function in, one JSON object a line; what it returned out, in the same form.

import { createInterface } from "node:readline";
import { io } from "socket.io-client";
import { WebSocket } from "ws";
import { makeStage } from "./stage.js";

const stage = makeStage({ webSocket: WebSocket, io });
const AsyncFunction = (async () => {}).constructor;

for await (const line of createInterface({ input: process.stdin })) {
  const { body, args } = JSON.parse(line);
  run(body, args);
}
process.exit();

async function run(body, args) {
  let answer;
  try {
    answer = { value: (await new AsyncFunction("stage", "args", body)(stage, args)) ?? null };
  } catch (error) {
    answer = { error: String(error?.stack ?? error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
