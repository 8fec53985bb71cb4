// Functions for `workerd.rs`. Each does in one call what would take many calls from Rust.
// No function throws, and no promise is rejected.

/** A property, or `undefined` if reading it throws. */
export function get(target, name) {
  try {
    return target[name];
  } catch {
    return undefined;
  }
}

/** Whether there is a DSN. */
export function hasDsn(env) {
  return (get(env, "SENTRY_DSN") ?? null) !== null;
}

/** The switch for console lines, as text. */
export function debugSwitch(env) {
  const value = get(env, "SENTRY_DEBUG");
  return ["string", "number", "boolean"].includes(typeof value) ? String(value) : undefined;
}

/** The parts of a URL, or `undefined` if the text is not a URL. */
export function parseUrl(text) {
  try {
    return new URL(text);
  } catch {
    return undefined;
  }
}

/** How many of the errors in an `AggregateError` are read. */
const MANY = 16;

/**
 * What a thrown value tells of itself: each text cut to `most` UTF-16 units, because what
 * is thrown may be of any size and WebAssembly's memory never shrinks again.
 */
function look(value, most) {
  const text = (it) => (typeof it === "string" ? it.slice(0, most) : undefined);
  const kind = value === null ? "null" : typeof value;
  if (kind === "string") return { kind, text: text(value) };
  if (kind === "number" || kind === "boolean") return { kind, text: String(value) };
  if (kind !== "object") return { kind };
  const stack = get(value, "stack");
  // A stack begins by repeating the message, which can be longer than all that is read.
  const frames = typeof stack === "string" ? stack.indexOf("\n    at ") : -1;
  const errors = get(value, "errors");
  return {
    kind,
    name: text(get(value, "name")),
    message: text(get(value, "message")),
    stack: frames < 0 ? undefined : text(stack.slice(frames)),
    cause: get(value, "cause") ?? undefined,
    errors: Array.isArray(errors) ? errors.slice(0, MANY) : [],
    marks: ["remote", "retryable", "overloaded"].map((name) => get(value, name) === true),
  };
}

/** How many frames of a stack are read. Further frames would not be sent. */
const FRAMES = 60;

const encoder = new TextEncoder();

/**
 * The frames that lead here, as the bytes of one text.
 *
 * An application can have set `Error.prepareStackTrace`, which makes of a stack whatever it
 * likes, or a limit of its own.
 */
function stackHere(most) {
  const { stackTraceLimit, prepareStackTrace } = Error;
  try {
    Error.stackTraceLimit = FRAMES;
    Error.prepareStackTrace = undefined;
    const holder = {};
    Error.captureStackTrace(holder, stackHere);
    return encoder.encode(holder.stack.slice(0, most));
  } catch {
    return undefined;
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
    Error.prepareStackTrace = prepareStackTrace;
  }
}

/** The first 16 bytes of a module's `build_id`, or `undefined` where it has no such section. */
function buildId(module) {
  try {
    const [id] = WebAssembly.Module.customSections(module, "build_id");
    return id && new Uint8Array(id).slice(0, 16);
  } catch {
    return undefined;
  }
}

/** Thrown values that were not handled, each followed by its time, until they are taken. */
const unhandled = [];
const MOST_UNHANDLED = 2 * 8;
/** The address in the instance's memory that is set to 1 when there is an unhandled value. */
let flag;
/** Whether the next trap is that of a panic that was already reported. */
let panicked = false;

function keep(value) {
  if (panicked && value instanceof WebAssembly.RuntimeError) {
    panicked = false;
    return;
  }
  if (unhandled.length < MOST_UNHANDLED) unhandled.push(value, Date.now());
  if (flag) new Uint8Array(flag.memory.buffer)[flag.address] = 1;
}

// An instance that such an error ends can run no code of its own any more. This module
// outlives it, and the next instance asks.
globalThis.addEventListener?.("error", (event) => keep(event.error));
globalThis.addEventListener?.("unhandledrejection", (event) => keep(event.reason));

/**
 * Requests of panics that belong to no run that is known, until they are answered. The
 * runtime drops what a constructor has started when the constructor fails.
 */
const unanswered = new Set();

// The functions are in one object, because wasm-bindgen imports a module once for each function
// that needs no glue, and a bundler warns about the repeated import.
export const life = {
  /** Sets the address of a new instance's flag. Returns whether there is something to take. */
  watch(memory, address) {
    flag = { memory, address };
    panicked = false;
    return unhandled.length > 0 || unanswered.size > 0;
  },
  /** Announces a trap. */
  willTrap() {
    panicked = true;
  },
  /** Takes the unhandled values, each followed by its time. */
  takeUnhandled() {
    return unhandled.splice(0);
  },
  /** Posts the unanswered requests again, and waits until all of them have ended. */
  async resend() {
    const again = [...unanswered];
    unanswered.clear();
    await Promise.all(again.map((request) => post(...request, false)));
  },
  look,
  stackHere,
  buildId,
  /** The address for many requests; `headers` has one header on each line. */
  address(url, headers) {
    return { url, headers: new Headers(headers.split("\n").map((line) => line.split(": ", 2))) };
  },
};

/** The longest body that is read, in bytes, and how long reading may take, in milliseconds. */
const SHORT = 4096;
const LINGER_MS = 100;

// ANCHOR: post
/**
 * Posts once, and reads of the answer what it says of the next one.
 *
 * `service` is the binding that carries it; without one, the internet does. An answer that
 * says nothing of the next one is its status. `keep` is for a request that may be dropped unanswered:
 * the next instance posts it again. A panic calls this too, and no Rust code can run any
 * more when the answer is there. No timer outlives the answer: the runtime would hold the
 * request open for it.
 */
export async function post(service, address, body, timeoutMs, keep) {
  // A copy: the original is WebAssembly's memory, which moves when it grows.
  body = body.slice();
  const request = [service, address, body, timeoutMs];
  if (keep) unanswered.add(request);
  const controller = new AbortController();
  let late = false;
  let timer = setTimeout(() => {
    late = true;
    controller.abort();
  }, timeoutMs);
  try {
    const response = await (service ?? globalThis).fetch(address.url, {
      method: "POST",
      headers: address.headers,
      body,
      // Following a redirect would carry the credentials to wherever it points.
      redirect: "manual",
      signal: controller.signal,
    });
    const { status } = response;
    const retryAfter = response.headers.get("Retry-After") ?? undefined;
    const rateLimits = response.headers.get("X-Sentry-Rate-Limits") ?? undefined;
    unanswered.delete(request);
    clearTimeout(timer);
    timer = setTimeout(() => controller.abort(), LINGER_MS);
    await finish(response);
    return retryAfter ?? rateLimits ? { status, retryAfter, rateLimits } : status;
  } catch {
    return { status: 0, timedOut: late };
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Reads a body to its end or cancels it. Reading it leaves the connection for the next
 * report, cancelling it does not. So a body as short as Sentry's is read. If it does not
 * come at once, the timer of `post` ends it.
 * https://developers.cloudflare.com/workers/platform/limits/#simultaneous-open-connections
 */
async function finish(response) {
  const length = Number(response.headers.get("Content-Length") ?? Infinity);
  const ending = length > SHORT ? response.body?.cancel() : response.arrayBuffer();
  await ending?.catch(() => {});
}
// ANCHOR_END: post
