// What `workerd.rs` asks for in one call, where the same from Rust would take many.
// Nothing here throws, and no promise is rejected.

/** A property, or `undefined` where reading it throws. */
export function get(target, name) {
  try {
    return target[name];
  } catch {
    return undefined;
  }
}

// A name that comes from WebAssembly has to be decoded first, which takes longer than
// all the rest of a call that has nothing to report. So these two know theirs.

/** Whether there is a DSN. */
export function hasDsn(env) {
  try {
    return (env.SENTRY_DSN ?? null) !== null;
  } catch {
    return false;
  }
}

/** The switch for console lines. */
export function debugSwitch(env) {
  try {
    return env.SENTRY_DEBUG;
  } catch {
    return undefined;
  }
}

/** A URL in its parts, or `undefined` where the text is none. */
export function parseUrl(text) {
  try {
    return new URL(text);
  } catch {
    return undefined;
  }
}

/** The longest body that is read, in bytes, and for how long, in milliseconds. */
const SHORT = 4096;
const LINGER_MS = 100;

// ANCHOR: post
/**
 * Posts once, and reads of the answer what it says of the next one.
 *
 * `headers` has one on each line. A panic calls this too, and no Rust code can run any
 * more when the answer is there.
 */
export async function post(url, headers, body, timeoutMs) {
  try {
    const response = await fetch(url, {
      method: "POST",
      headers: headers.split("\n").map((line) => line.split(": ", 2)),
      // A copy: the original is WebAssembly's memory, which moves when it grows.
      body: body.slice(),
      // Following a redirect would carry the credentials to wherever it points.
      redirect: "manual",
      signal: AbortSignal.timeout(timeoutMs),
    });
    const reply = {
      status: response.status,
      retryAfter: response.headers.get("Retry-After") ?? undefined,
      rateLimits: response.headers.get("X-Sentry-Rate-Limits") ?? undefined,
    };
    await finish(response);
    return reply;
  } catch (thrown) {
    return { status: 0, timedOut: get(thrown, "name") === "TimeoutError" };
  }
}

/**
 * A body that is neither read nor cancelled holds a connection open, and a request has
 * six. Reading it leaves the connection for the next report, cancelling it does not. So
 * one as short as Sentry's is read. If it does not come at once nobody waits for it, and
 * it ends with the time that `post` was given.
 * https://developers.cloudflare.com/workers/platform/limits/#simultaneous-open-connections
 */
async function finish(response) {
  const length = Number(response.headers.get("Content-Length") ?? Infinity);
  if (length > SHORT) {
    await response.body?.cancel().catch(() => {});
  } else {
    const read = response.arrayBuffer().catch(() => {});
    await Promise.race([read, scheduler.wait(LINGER_MS)]);
  }
}
// ANCHOR_END: post
