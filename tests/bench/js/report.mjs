// One client for each isolate, made of the SDK's parts at the first report. The SDK has a wrapper
// for each kind of handler and no `init`. So this is how an application uses it without running any
// of it before there is an error.

import { createStackParser, createTransport, getIntegrationsToSetup } from "@sentry/core";
import { nodeStackLineParser } from "@sentry/core/server";

let client;

/// Captures an error with the parts of `Sentry`, and waits for its delivery.
export async function report(Sentry, env, place, error, crumbs = []) {
  client ??= create(Sentry, env);
  const scope = new Sentry.Scope();
  scope.setClient(client);
  scope.setTransactionName(place);
  for (const crumb of crumbs) {
    scope.addBreadcrumb(crumb);
  }
  scope.captureException(error);
  await client.flush(2000);
}

/// Runs a body as one run of a monitor. Its end is sent in the background.
export async function monitored(Sentry, env, context, body) {
  client ??= create(Sentry, env);
  const config = { schedule: { type: "crontab", value: "*/15 * * * *" } };
  const run = { monitorSlug: "bench", status: "in_progress" };
  const checkInId = client.captureCheckIn(run, config);
  const began = Date.now();
  let status = "error";
  try {
    await body();
    status = "ok";
  } finally {
    const duration = (Date.now() - began) / 1000;
    client.captureCheckIn({ ...run, checkInId, status, duration }, config);
    context.waitUntil(client.flush(2000));
  }
}

function create(Sentry, env) {
  const options = {
    dsn: env.SENTRY_DSN,
    release: env.SENTRY_RELEASE,
    environment: env.SENTRY_ENVIRONMENT,
  };
  const defaultIntegrations = Sentry.getDefaultIntegrations(options);
  const client = new Sentry.CloudflareClient({
    ...options,
    stackParser: createStackParser(nodeStackLineParser()),
    integrations: getIntegrationsToSetup({ defaultIntegrations }),
    transport,
    // The limit of requests at once in the SDK's own transport.
    transportOptions: { bufferSize: 256 },
  });
  client.init();
  return client;
}

function transport(options) {
  return createTransport(options, async ({ body }) => {
    const response = await fetch(options.url, { method: "POST", headers: options.headers, body });
    await response.text();
    return {
      statusCode: response.status,
      headers: {
        "x-sentry-rate-limits": response.headers.get("X-Sentry-Rate-Limits"),
        "retry-after": response.headers.get("Retry-After"),
      },
    };
  });
}
