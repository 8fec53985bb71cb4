// The one module that asks for what `cloudflare:workers` exports. It is linked only where
// somebody calls what it is for. As a namespace, because an older runtime has no `tracing`, and
// an import of what is not there keeps a Worker from starting.

import * as workers from "cloudflare:workers";

// ANCHOR: native
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
// ANCHOR_END: native
