// The parts of the SDK that a report needs, by name: the bundler leaves out the
// rest.

export { CloudflareClient, Scope, getDefaultIntegrations } from "@sentry/cloudflare";
