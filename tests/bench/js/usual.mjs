// The Worker with the SDK as its documentation sets it up: wrappers around the handler and the
// classes, and only the options that are needed.

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
  // The SDK's wrapper reports the error of a step, but not an error that `run` throws.
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
  // Sets the name that the crate gives the same transaction.
  enter: (place) => Sentry.getCurrentScope().setTransactionName(place),
  async capture(env, place, error) {
    Sentry.captureException(error);
    await Sentry.flush(2000);
  },
});

export { Bench, BenchFlow };
export default main;
