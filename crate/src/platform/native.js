// The only module that imports from `cloudflare:workers`. It is linked only if its function is
// used. The import is a namespace, because an older runtime has no `tracing`, and a Worker with
// a named import of a missing export does not start.

import * as workers from "cloudflare:workers";

/**
 * The ids of the span of Cloudflare's that is active, as 32 and 16 digits in one text, or
 * `undefined` where Cloudflare does not trace this run. The flag in the ids is not asked: it was
 * seen to be 0 in runs that are traced.
 */
export function nativeSpan() {
  try {
    const span = workers.tracing?.getActiveSpan?.();
    if (!span?.isTraced) return undefined;
    const { traceId, spanId } = span.spanContext();
    return traceId + spanId;
  } catch {
    return undefined;
  }
}
