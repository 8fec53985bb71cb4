// A main module in front of a Rust Worker's own, which is called MAIN here. It counts the calls
// between WebAssembly and JavaScript. `GET /counts` returns the counts and resets them.

import "./count-first.js";
export * from "./MAIN";
import Main from "./MAIN";

const counts = globalThis.__counts;

export default class extends Main {
  async fetch(request) {
    if (new URL(request.url).pathname !== "/counts") {
      return super.fetch(request);
    }
    const told = { ...counts, functions: { ...counts.functions } };
    counts.out = 0;
    counts.back = 0;
    counts.timers = 0;
    counts.functions = {};
    return Response.json(told);
  }
}
