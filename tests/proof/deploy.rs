//! The example Worker as it would be deployed, with its configuration.

use std::fs;

use harness::environment;
use harness::worker::{Build, Worker, committed};
use toml::Value;

/// The largest compressed upload of the example: for years it was the limit of the free plan. Since
/// 2026-09-04 Cloudflare limits the size that is not compressed instead.
/// <https://developers.cloudflare.com/workers/platform/limits/#worker-size>
const FREE_PLAN_KIB: f64 = 3.0 * 1024.0;

/// The classes that the configuration names, and the default entrypoint.
const EXPORTS: [&str; 8] = [
    "BatchCompilationWorkflow",
    "CacheWarmingWorkflow",
    "CompilationCoordinator",
    "CompilationWorkflow",
    "HealthMonitoringWorkflow",
    "RateLimiterDo",
    "WsHibernationDo",
    "default",
];

/// Classes that `worker` 0.8.7 adds to every Worker. They are plain classes, so no other Worker can
/// call them.
const OF_WORKER: [&str; 3] = ["ContainerStartupOptions", "MinifyConfig", "R2Range"];

/// The handlers that the runtime calls.
const METHODS: [&str; 3] = ["fetch", "queue", "scheduled"];

harness::trials![
    the_committed_configuration_can_be_deployed_within_the_free_plan,
    the_committed_configuration_holds_no_secret_and_no_drills,
    the_worker_exports_its_classes_and_its_handlers_and_nothing_else,
];

fn the_committed_configuration_can_be_deployed_within_the_free_plan() {
    let lines = Worker::listings().deploy_dry_run();
    let text = lines.join("\n");
    let line = lines.iter().find(|line| line.contains("Total Upload:"));
    let line = line.unwrap_or_else(|| panic!("no size in {text}"));
    println!("figure: the example Worker: {line}");
    let compressed = line.split_once("gzip: ").expect("a compressed size").1;
    let (size, unit) = compressed.split_once(' ').expect("a size and its unit");
    assert_eq!(unit.trim(), "KiB", "{line}");
    let size: f64 = size.parse().expect("a number");
    assert!(size > 0.0 && size < FREE_PLAN_KIB, "{line}");
    // Everything that the application uses has a binding, and there is no other binding.
    for binding in [
        "env.RATE_LIMITER",
        "env.COMPILATION ",
        "env.LISTS",
        "env.COMPILE_QUEUE",
    ] {
        assert!(text.contains(binding), "no {binding} in {text}");
    }
    for secret in ["SENTRY_DSN", "DRILLS"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

fn the_committed_configuration_holds_no_secret_and_no_drills() {
    for build in [
        Build::Listings,
        Build::Snippet("object"),
        Build::Snippet("workflow"),
        Build::Snippet("fetch"),
        Build::Snippet("drill"),
    ] {
        let config = committed(build);
        let vars = config.get("vars").and_then(Value::as_table);
        let vars: Vec<&str> = vars
            .into_iter()
            .flatten()
            .map(|(name, _)| name.as_str())
            .collect();
        let allowed: &[&str] = match build {
            Build::Listings => &["COMPILER_VERSION"],
            Build::Snippet("drill") => &["ENVIRONMENT"],
            _ => &[],
        };
        assert_eq!(vars, allowed, "{build:?}");
        // No such text may stand anywhere in the configuration, whatever a binding is called.
        let text = toml::to_string(&config).expect("a table is TOML");
        for secret in ["SENTRY_", "DRILLS", "://"] {
            assert!(!text.contains(secret), "{secret} in {build:?}");
        }
    }
}

fn the_worker_exports_its_classes_and_its_handlers_and_nothing_else() {
    let module = environment::path("PROOF_LISTINGS").join("index.js");
    let module = fs::read_to_string(module).expect("the built Worker");
    let mut exports = exports(&module);
    exports.retain(|name| !OF_WORKER.contains(name));
    assert_eq!(exports, EXPORTS);
    // A function that wasm exports by name becomes a method of the default entrypoint, which other
    // Workers can call.
    assert_eq!(methods(&module), METHODS);
}

/// The names that a bundled module exports, sorted.
fn exports(module: &str) -> Vec<&str> {
    let (_, list) = module.rsplit_once("export{").expect("a list of exports");
    let (list, _) = list.split_once('}').expect("the end of the list");
    let mut names: Vec<&str> = list
        .split(',')
        .filter_map(|item| item.rsplit(' ').next())
        .collect();
    names.sort_unstable();
    names
}

/// The methods of the default entrypoint. In a minified bundle it is the only class that names the
/// class it extends.
fn methods(module: &str) -> Vec<&str> {
    let (before, after) = module.split_once("=class extends ").expect("an entrypoint");
    let class = before.rsplit([' ', ',', ';']).next().expect("its name");
    let method = format!("{class}.prototype.");
    let assigned = after.split(&method).skip(1);
    let mut names: Vec<&str> = assigned.filter_map(|rest| rest.split('=').next()).collect();
    names.sort_unstable();
    names
}
