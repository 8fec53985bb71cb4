// The Worker without an error reporter. It also measures the floor: a bare `fetch`.

import { hosts } from "./hosts.mjs";

const { main, Bench, BenchFlow } = hosts({});

export { Bench, BenchFlow };
export default main;
