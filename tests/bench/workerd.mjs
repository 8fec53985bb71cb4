// Starts and ends the Workers of the bench, controlled over HTTP.
//
// One Node.js process serves all of them: the bench often needs a new isolate, and starting a new
// Node.js takes longer than what is measured.
//
// usage: node workerd.mjs <node_modules>
//
// POST /start    {folder, main, flags, workflow, bindings, inspected}  ->  {id, url, inspector}
// POST /stop     {id}
// POST /startup  {folder, main, modules, flags}  ->  {ms}

import { spawn } from "node:child_process";
import { readdirSync, writeFileSync } from "node:fs";
import { createServer, get } from "node:http";
import { createRequire } from "node:module";
import { extname, join } from "node:path";
import { createInterface } from "node:readline";

const [modules] = process.argv.slice(2);
const require = createRequire(join(modules, "workerd.mjs"));
const { Miniflare, convertV4MiniflareOptions } = require("miniflare");
const workerd = require("workerd").default;

const DATE = "2026-11-15";
const running = new Map();
let last = 0;

async function start({ folder, main, flags, workflow, bindings, inspected }) {
  const miniflare = new Miniflare(convertV4MiniflareOptions({
    name: "bench",
    modules: modulesOf(folder, main),
    modulesRoot: folder,
    compatibilityDate: DATE,
    compatibilityFlags: flags,
    bindings,
    durableObjects: { BENCH: { className: "Bench", useSQLite: true } },
    workflows: workflow ? { FLOW: { name: "flow", className: "BenchFlow" } } : {},
    host: "127.0.0.1",
    port: 0,
    inspectorPort: inspected ? 0 : undefined,
    cf: false,
    telemetry: { enabled: false },
    verbose: true,
  }));
  const url = (await miniflare.ready).origin;
  const inspector = inspected ? (await miniflare.getInspectorURL()).href : null;
  const id = ++last;
  running.set(id, miniflare);
  return { id, url, inspector };
}

// The main module comes first.
function modulesOf(folder, main) {
  const kinds = { ".js": "ESModule", ".wasm": "CompiledWasm" };
  const names = readdirSync(folder, { recursive: true });
  const others = names.filter((name) => name !== main && extname(name) in kinds);
  return [main, ...others].map((name) => ({ type: kinds[extname(name)], path: join(folder, name) }));
}

async function stop({ id }) {
  await running.get(id).dispose();
  running.delete(id);
  return {};
}

// The time from the start of the process to the first answer, without Miniflare.
async function startup({ folder, main, modules, flags }) {
  const module = (name) => {
    const kind = name.endsWith(".wasm") ? "wasm" : "esModule";
    return `(name = ${quoted(name)}, ${kind} = embed ${quoted(name)})`;
  };
  const names = [main, ...modules];
  const text = `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "bench", worker = .bench)],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "bench")],
);
const bench :Workerd.Worker = (
  modules = [${names.map(module).join(", ")}],
  compatibilityDate = ${quoted(DATE)},
  compatibilityFlags = [${flags.map(quoted).join(", ")}],
  durableObjectNamespaces = [(className = "Bench", uniqueKey = "bench")],
  durableObjectStorage = (inMemory = void),
);
`;
  const config = join(folder, "startup.capnp");
  writeFileSync(config, text);
  const began = performance.now();
  const child = spawn(workerd, ["serve", "--control-fd=3", config], {
    stdio: ["ignore", "ignore", "inherit", "pipe"],
  });
  try {
    const port = await listening(child);
    await answered(port);
    return { ms: performance.now() - began };
  } finally {
    const ended = new Promise((done) => child.once("exit", done));
    child.kill("SIGKILL");
    await ended;
  }
}

async function listening(child) {
  for await (const line of createInterface({ input: child.stdio[3] })) {
    const message = JSON.parse(line);
    if (message.event === "listen") {
      return message.port;
    }
  }
  throw new Error("workerd ended");
}

function answered(port) {
  return new Promise((done, failed) => {
    get({ host: "127.0.0.1", port, path: "/", agent: false }, (response) => {
      response.resume();
      response.once("end", done);
    }).once("error", failed);
  });
}

function quoted(text) {
  return JSON.stringify(text);
}

const commands = { "/start": start, "/stop": stop, "/startup": startup };

const server = createServer(async (request, response) => {
  let body = "";
  for await (const part of request) {
    body += part;
  }
  try {
    const answer = await commands[request.url](JSON.parse(body));
    response.end(JSON.stringify(answer));
  } catch (error) {
    response.statusCode = 500;
    response.end(String(error?.stack ?? error));
  }
});
server.listen(0, "127.0.0.1", () => {
  console.log(`Ready on http://127.0.0.1:${server.address().port}`);
});
