// Wrappers that only catch errors. The SDK is evaluated only when there is a DSN and an error to
// report.

import { hosts } from "./hosts.mjs";

/// The hosts. `load` returns the SDK when it is needed.
export function catching(load) {
  async function capture(env, place, error, crumbs) {
    if (!env.SENTRY_DSN) {
      return;
    }
    const [Sentry, { report }] = await Promise.all([load(), import("./report.mjs")]);
    await report(Sentry, env, place, error, crumbs);
  }

  async function monitor(env, context, body) {
    if (!env.SENTRY_DSN) {
      return body();
    }
    const [Sentry, { monitored }] = await Promise.all([load(), import("./report.mjs")]);
    return monitored(Sentry, env, context, body);
  }

  return hosts({
    wrapHandler: (handler) => ({
      ...handler,
      async fetch(request, env, context) {
        try {
          return await handler.fetch(request, env, context);
        } catch (error) {
          context.waitUntil(capture(env, "main.fetch", error));
          throw error;
        }
      },
    }),
    wrapObject: (object) =>
      class extends object {
        async alarm() {
          try {
            return await super.alarm();
          } catch (error) {
            await capture(this.env, "Bench.alarm", error);
            throw error;
          }
        }
      },
    wrapFlow: (flow) =>
      class extends flow {
        async run(event, step) {
          try {
            return await super.run(event, step);
          } catch (error) {
            await capture(this.env, "BenchFlow.run", error);
            throw error;
          }
        }
      },
    capture,
    monitor,
  });
}
