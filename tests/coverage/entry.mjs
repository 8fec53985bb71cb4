// The built Worker, and one more way in: `GET /coverage` tells what has run since it
// was asked last, as one raw profile, or several if an instance ended by a panic: each
// with its length in four bytes before it.

import Worker, * as built from "./index.js";

export * from "./index.js";

export default class extends Worker {
  constructor(...rest) {
    super(...rest);
    super.armCoverage();
  }

  fetch(request) {
    if (new URL(request.url).pathname !== "/coverage") return super.fetch(request);
    const profiles = [...(globalThis.coverageOfPanics ?? []), super.takeCoverage()];
    globalThis.coverageOfPanics = [];
    return new Response(new Blob(profiles.flatMap(profile =>
      [new Uint32Array([profile.length]), profile])));
  }
}
