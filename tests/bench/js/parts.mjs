// The parts of the SDK that a report needs, imported by name, so that the bundler leaves out the
// rest.

export { CloudflareClient, Scope, getDefaultIntegrations } from "@sentry/cloudflare";
