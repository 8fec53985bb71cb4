// The Worker with the SDK as its documentation sets it up: wrappers around the
// handler and the classes, and no more options than needed.

import * as Sentry from "@sentry/cloudflare";

import { hosts } from "./hosts.mjs";

const options = (env) => ({
  dsn: env.SENTRY_DSN,
  release: env.SENTRY_RELEASE,
  environment: env.SENTRY_ENVIRONMENT,
});

const { main, Bench, BenchFlow } = hosts({
  wrapHandler: (handler) => Sentry.withSentry(options, handler),
  wrapObject: (object) => Sentry.instrumentDurableObjectWithSentry(options, object),
  // This wrapper reports what a step fails with, and not what `run` throws.
  wrapFlow: (flow) =>
    Sentry.instrumentWorkflowWithSentry(
      options,
      class extends flow {
        async run(event, step) {
          try {
            return await super.run(event, step);
          } catch (error) {
            Sentry.captureException(error);
            throw error;
          }
        }
      },
    ),
  // The crate's name for the same thing.
  enter: (place) => Sentry.getCurrentScope().setTransactionName(place),
  async capture(env, place, error) {
    Sentry.captureException(error);
    await Sentry.flush(2000);
  },
});

export { Bench, BenchFlow };
export default main;
