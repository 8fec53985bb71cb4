// Like `usual.mjs`, with everything that the crate has features for: traces, logs, breadcrumbs and
// monitors.

import * as Sentry from "@sentry/cloudflare";

import { hosts } from "./hosts.mjs";

const options = (env) => ({
  dsn: env.SENTRY_DSN,
  release: env.SENTRY_RELEASE,
  environment: env.SENTRY_ENVIRONMENT,
  enableLogs: true,
  ...(env.SENTRY_TRACES_SAMPLE_RATE && { tracesSampleRate: Number(env.SENTRY_TRACES_SAMPLE_RATE) }),
});

const { main, Bench, BenchFlow } = hosts({
  wrapHandler: (handler) => Sentry.withSentry(options, handler),
  wrapObject: (object) => Sentry.instrumentDurableObjectWithSentry(options, object),
  wrapFlow: (flow) => Sentry.instrumentWorkflowWithSentry(options, flow),
  // Sets the name that the crate gives the same transaction.
  enter: (place) => Sentry.getCurrentScope().setTransactionName(place),
  // Breadcrumbs belong to a scope, so each capture has a scope of its own.
  capture: (env, place, error, crumbs = []) =>
    Sentry.withIsolationScope(async () => {
      for (const crumb of crumbs) {
        Sentry.addBreadcrumb(crumb);
      }
      Sentry.captureException(error);
      await Sentry.flush(2000);
    }),
  monitor: (env, context, body) =>
    Sentry.withMonitor("bench", body, { schedule: { type: "crontab", value: "*/15 * * * *" } }),
  said: () =>
    Sentry.startSpan({ op: "list", name: "read" }, async () => {
      Sentry.logger.info("a line is broken");
    }),
});

export { Bench, BenchFlow };
export default main;
