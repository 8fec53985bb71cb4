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

/** Whether anything is bound under a name. */
export function isBound(env, name) {
  return (get(env, name) ?? null) !== null;
}

/** A URL in its parts, or `undefined` where the text is none. */
export function parseUrl(text) {
  try {
    return new URL(text);
  } catch {
    return undefined;
  }
}

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
    // A body that is neither read nor cancelled holds a connection open, and a
    // request has six.
    // https://developers.cloudflare.com/workers/platform/limits/#simultaneous-open-connections
    await response.body?.cancel().catch(() => {});
    return reply;
  } catch (thrown) {
    return { status: 0, timedOut: get(thrown, "name") === "TimeoutError" };
  }
}
// ANCHOR_END: post
