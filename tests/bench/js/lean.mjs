// The same, with no more of the SDK in the bundle than is used.

import { catching } from "./catching.mjs";

const { main, Bench, BenchFlow } = catching(() => import("./parts.mjs"));

export { Bench, BenchFlow };
export default main;
