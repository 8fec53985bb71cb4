// Runs Workers as `wrangler dev` does, one after another, with wrangler's own function for it. To
// load wrangler takes most of the time of a start, and this program loads it once.
//
//     node wrangler.mjs NODE_MODULES
//
// It prints its address. `POST /start` has a JSON object with what `start` takes, and is answered
// at once: the lines of wrangler and of the Worker go into the file `log`. `POST /end` is answered
// when the Worker has ended.
import { closeSync, openSync, writeFileSync, writeSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";

const { unstable_startWorker: startWorker } = createRequire(`${process.argv[2]}/`)("wrangler");

/** The file descriptor of the log of the Worker that runs. */
let log;
/** The Worker that runs, or the attempt to start it. */
let running;
/** The file that says that the Worker has ended by itself. */
let ended;

for (const stream of [process.stdout, process.stderr]) {
  const write = stream.write.bind(stream);
  stream.write = (chunk, encoding, done) => {
    if (log === undefined) return write(chunk, encoding, done);
    writeSync(log, chunk);
    const then = typeof encoding === "function" ? encoding : done;
    if (then) queueMicrotask(then);
    return true;
  };
}

async function start(given) {
  process.chdir(given.directory);
  Object.assign(process.env, given.variables);
  log = openSync(given.log, "a");
  ended = given.ended;
  running = startWorker({
    config: given.config,
    dev: {
      server: { hostname: "127.0.0.1", port: 0 },
      inspector: { hostname: "127.0.0.1", port: given.inspector },
      persist: given.state,
      watch: false,
    },
  });
  try {
    await (await running).ready;
  } catch (error) {
    console.error(error);
    writeFileSync(ended, "1\n");
  }
}

async function end() {
  try {
    await (await running)?.dispose();
  } catch (error) {
    console.error(error);
  }
  closeSync(log);
  log = running = ended = undefined;
}

const server = createServer((request, response) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", async () => {
    if (request.url === "/start") start(JSON.parse(Buffer.concat(parts)));
    else await end();
    response.end();
  });
});
server.listen(0, "127.0.0.1", () => console.log(`Listening on http://127.0.0.1:${server.address().port}`));
