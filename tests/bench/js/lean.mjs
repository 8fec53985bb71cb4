// Like `lazy.mjs`, with only the used parts of the SDK in the bundle.

import { catching } from "./catching.mjs";

const { main, Bench, BenchFlow } = catching(() => import("./parts.mjs"));

export { Bench, BenchFlow };
export default main;
