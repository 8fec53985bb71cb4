// The Worker that imports the SDK only when it has an error to report.

import { catching } from "./catching.mjs";

const { main, Bench, BenchFlow } = catching(() => import("@sentry/cloudflare"));

export { Bench, BenchFlow };
export default main;
