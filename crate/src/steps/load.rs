//! Step 2, *load*: turns the bindings into a [`Config`].
//!
//! Reading a binding may wait (a Secrets Store is asynchronous) and may fail (a
//! DSN can be malformed). [`load`] waits for the values; [`Config::resolve`] interprets them.

use std::borrow::Cow;

use crate::platform::workerd::{SERVICE, VERSION_METADATA};
use crate::platform::{Binding, Runtime, is_on};
use crate::trace::sampling::Rate;
use crate::wire::dsn::Dsn;

/// The address of the receiver. Without it, the crate does nothing.
pub(crate) const DSN: &str = "SENTRY_DSN";
/// Turns on one console line for each decision.
pub(crate) const DEBUG: &str = "SENTRY_DEBUG";

/// Writes stacks in the form for a receiver that resolves them by source maps.
pub(crate) const SOURCE_MAPS: &str = "SENTRY_SOURCE_MAPS";

/// The share of traces that are recorded.
pub(crate) const TRACES: &str = "SENTRY_TRACES_SAMPLE_RATE";

/// Turns on structured logs.
#[cfg(any(test, feature = "logs"))]
pub(crate) const LOGS: &str = "SENTRY_ENABLE_LOGS";

/// Every binding the crate reads, in the order of the book's table.
pub(crate) const BINDINGS: [&str; 13 + cfg!(any(test, feature = "logs")) as usize] = [
    DSN,
    "SENTRY_RELEASE",
    "COMPILER_VERSION",
    "SENTRY_ENVIRONMENT",
    "ENVIRONMENT",
    TRACES,
    "SENTRY_SAMPLE_RATE",
    #[cfg(any(test, feature = "logs"))]
    LOGS,
    DEBUG,
    SOURCE_MAPS,
    "SENTRY_TUNNEL",
    SERVICE,
    "SENTRY_ACCESS_CLIENT_ID",
    "SENTRY_ACCESS_CLIENT_SECRET",
];

/// The longest release that Sentry accepts.
/// <https://docs.sentry.io/platforms/javascript/configuration/releases/>
const MAX_RELEASE: usize = 200;
/// The longest environment that Sentry accepts.
/// <https://docs.sentry.io/platforms/javascript/configuration/environments/>
const MAX_ENVIRONMENT: usize = 64;

/// The settings of an isolate's client.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) dsn: Dsn,
    pub(crate) release: Option<Cow<'static, str>>,
    pub(crate) environment: Cow<'static, str>,
    /// If unset, traces are continued and passed on without a sampling decision.
    pub(crate) traces_sample_rate: Option<Rate>,
    pub(crate) sample_rate: f32,
    /// Whether the receiver resolves stacks by source maps.
    pub(crate) source_maps: bool,
    /// The address to which envelopes are sent instead of that of the DSN.
    pub(crate) tunnel: Option<String>,
    /// Whether envelopes are sent through the service binding [`SERVICE`] instead of the
    /// internet.
    pub(crate) has_service: bool,
    pub(crate) access: Option<(String, String)>,
}

/// What is wrong with a binding. It has the binding's name and never its value, which may be
/// secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Complaint {
    pub(crate) binding: &'static str,
    pub(crate) problem: &'static str,
}

/// A usable configuration, and the complaints about bindings that were ignored.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    pub(crate) config: Config,
    pub(crate) complaints: Vec<Complaint>,
}

/// The value of one binding.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Value {
    #[default]
    Absent,
    Text(String),
    NotText,
    /// A service binding.
    Service,
    /// A Secrets Store that did not return a secret.
    Unreadable,
}

/// The values of [`BINDINGS`], and the version's id.
#[derive(Clone, Debug, Default)]
pub(crate) struct Values {
    values: [Value; BINDINGS.len()],
    version_id: Value,
}

impl Values {
    fn get(&self, name: &'static str) -> &Value {
        match BINDINGS.iter().position(|binding| *binding == name) {
            Some(index) => &self.values[index],
            None => &Value::Absent,
        }
    }

    #[cfg(test)]
    pub(crate) fn with(mut self, name: &'static str, value: Value) -> Self {
        match BINDINGS.iter().position(|binding| *binding == name) {
            Some(index) => self.values[index] = value,
            None => self.version_id = value,
        }
        self
    }
}

// ANCHOR: load
/// Reads every binding, then decides what they mean.
///
/// Waits only where a binding is a Secrets Store; the caller bounds that time.
pub(crate) async fn load(runtime: &impl Runtime) -> Result<Loaded, Complaint> {
    let mut read = Values::default();
    for (name, value) in BINDINGS.iter().zip(&mut read.values) {
        *value = read_binding(runtime, name).await;
    }
    read.version_id = read_binding(runtime, VERSION_METADATA).await;
    Config::resolve(runtime, &read)
}
// ANCHOR_END: load

/// Loads without waiting, for a panic. A Secrets Store counts as unreadable.
pub(crate) fn load_now(runtime: &impl Runtime) -> Result<Loaded, Complaint> {
    let read_now = |name| match runtime.binding(name) {
        Binding::Absent => Value::Absent,
        Binding::Text(text) => Value::Text(text),
        Binding::NotText => Value::NotText,
        Binding::Service => Value::Service,
        Binding::Secret(_) => Value::Unreadable,
    };
    let read = Values {
        values: BINDINGS.map(read_now),
        version_id: read_now(VERSION_METADATA),
    };
    Config::resolve(runtime, &read)
}

async fn read_binding(runtime: &impl Runtime, name: &'static str) -> Value {
    match runtime.binding(name) {
        Binding::Absent => Value::Absent,
        Binding::Text(text) => Value::Text(text),
        Binding::NotText => Value::NotText,
        Binding::Service => Value::Service,
        Binding::Secret(secret) => match runtime.secret(secret).await {
            Some(text) => Value::Text(text),
            None => Value::Unreadable,
        },
    }
}

impl Config {
    /// Interprets the values of the bindings. Reads nothing and waits for nothing.
    ///
    /// An unusable DSN is an error, because then there is no receiver. An unusable service is
    /// also an error: an application that binds a service keeps its events off the internet,
    /// and the default would send them there. For every other unusable binding there is a
    /// complaint, and its default is used.
    pub(crate) fn resolve(runtime: &impl Runtime, values: &Values) -> Result<Loaded, Complaint> {
        let dsn = resolve_dsn(runtime, values)?;
        let has_service = resolve_service(values)?;
        let mut complaints = Vec::new();
        let config = Config {
            dsn,
            release: resolve_release(values, &mut complaints),
            environment: resolve_environment(values, &mut complaints),
            traces_sample_rate: resolve_rate(
                runtime,
                values,
                TRACES,
                "is not a number from 0 to 1; no traces are recorded",
                &mut complaints,
            )
            .and_then(Rate::new),
            sample_rate: resolve_rate(
                runtime,
                values,
                "SENTRY_SAMPLE_RATE",
                "is not a number from 0 to 1; using 1",
                &mut complaints,
            )
            .map_or(1.0, |rate| rate as f32),
            source_maps: resolve_switch(values, SOURCE_MAPS, &mut complaints),
            tunnel: resolve_tunnel(runtime, values, &mut complaints),
            has_service,
            access: resolve_access(values, &mut complaints),
        };
        // `SENTRY_DEBUG` is only checked here. It is read whenever a line would be written, also
        // before there is a configuration.
        resolve_switch(values, DEBUG, &mut complaints);
        // `SENTRY_ENABLE_LOGS` is only checked here, too. It is read at the first log.
        #[cfg(any(test, feature = "logs"))]
        resolve_switch(values, LOGS, &mut complaints);
        Ok(Loaded { config, complaints })
    }
}

fn resolve_dsn(runtime: &impl Runtime, values: &Values) -> Result<Dsn, Complaint> {
    let complain = |problem| {
        Err(Complaint {
            binding: DSN,
            problem,
        })
    };
    match values.get(DSN) {
        Value::Absent => complain("is not bound; nothing is reported"),
        Value::NotText | Value::Service => complain("is not text; nothing is reported"),
        Value::Unreadable => complain("could not be read from the Secrets Store; will try again"),
        Value::Text(text) => match runtime.parse_url(text.trim()).and_then(Dsn::of) {
            Some(dsn) => Ok(dsn),
            None => complain("is not a Sentry DSN; nothing is reported"),
        },
    }
}

/// The text of a binding. A blank text counts as absent, because in `wrangler` a var of a
/// parent environment cannot be removed, only made blank.
fn text<'v>(
    values: &'v Values,
    name: &'static str,
    complaints: &mut Vec<Complaint>,
) -> Option<&'v str> {
    let problem = match values.get(name) {
        Value::Absent => return None,
        Value::Text(text) => match text.trim() {
            "" => return None,
            text => return Some(text),
        },
        Value::NotText | Value::Service => "is not text; ignored",
        Value::Unreadable => "could not be read from the Secrets Store; ignored",
    };
    complaints.push(Complaint {
        binding: name,
        problem,
    });
    None
}

fn resolve_release(values: &Values, complaints: &mut Vec<Complaint>) -> Option<Cow<'static, str>> {
    for name in ["SENTRY_RELEASE", "COMPILER_VERSION"] {
        match text(values, name, complaints) {
            Some(release) if is_release(release) => return Some(Cow::Owned(release.to_owned())),
            Some(_) => complaints.push(Complaint {
                binding: name,
                problem: "is not a release name Sentry accepts; ignored",
            }),
            None => {}
        }
    }
    match &values.version_id {
        Value::Text(id) if is_release(id) => Some(Cow::Owned(id.clone())),
        _ => None,
    }
}

fn is_release(release: &str) -> bool {
    release.len() <= MAX_RELEASE
        && !matches!(release, "" | "." | "..")
        && !release.eq_ignore_ascii_case("latest")
        && !release.contains(|c: char| c.is_control() || matches!(c, '/' | '\\'))
}

fn resolve_environment(values: &Values, complaints: &mut Vec<Complaint>) -> Cow<'static, str> {
    for name in ["SENTRY_ENVIRONMENT", "ENVIRONMENT"] {
        match text(values, name, complaints) {
            Some(environment) if is_environment(environment) => {
                return Cow::Owned(environment.to_owned());
            }
            Some(_) => complaints.push(Complaint {
                binding: name,
                problem: "is not an environment name Sentry accepts; ignored",
            }),
            None => {}
        }
    }
    Cow::Borrowed("production")
}

fn is_environment(environment: &str) -> bool {
    environment.len() <= MAX_ENVIRONMENT
        && !matches!(environment, "." | "..")
        && !environment.eq_ignore_ascii_case("none")
        && !environment
            .contains(|c: char| c.is_control() || c.is_whitespace() || matches!(c, '/' | '\\'))
}

fn resolve_rate(
    runtime: &impl Runtime,
    values: &Values,
    name: &'static str,
    problem: &'static str,
    complaints: &mut Vec<Complaint>,
) -> Option<f64> {
    let text = text(values, name, complaints)?;
    let rate = runtime
        .decimal(text)
        .filter(|rate| (0.0..=1.0).contains(rate));
    if rate.is_none() {
        complaints.push(Complaint {
            binding: name,
            problem,
        });
    }
    rate
}

/// The value of a switch, which is off by default.
fn resolve_switch(values: &Values, name: &'static str, complaints: &mut Vec<Complaint>) -> bool {
    let Some(text) = text(values, name, complaints) else {
        return false;
    };
    is_on(text).unwrap_or_else(|| {
        complaints.push(Complaint {
            binding: name,
            problem: "is neither on nor off; using off",
        });
        false
    })
}

fn resolve_tunnel(
    runtime: &impl Runtime,
    values: &Values,
    complaints: &mut Vec<Complaint>,
) -> Option<String> {
    const NAME: &str = "SENTRY_TUNNEL";
    let text = text(values, NAME, complaints)?;
    match runtime.parse_url(text) {
        Some(url) if url.is_http() => Some(url.href),
        _ => {
            complaints.push(Complaint {
                binding: NAME,
                problem: "is not an http or https URL; events go to the DSN's host",
            });
            None
        }
    }
}

fn resolve_service(values: &Values) -> Result<bool, Complaint> {
    match values.get(SERVICE) {
        Value::Absent => Ok(false),
        Value::Service => Ok(true),
        // In `wrangler` a var of a parent environment cannot be removed, only made blank.
        Value::Text(text) if text.trim().is_empty() => Ok(false),
        Value::Text(_) | Value::NotText | Value::Unreadable => Err(Complaint {
            binding: SERVICE,
            problem: "is not a binding that fetches; nothing is reported",
        }),
    }
}

fn resolve_access(values: &Values, complaints: &mut Vec<Complaint>) -> Option<(String, String)> {
    const ID: &str = "SENTRY_ACCESS_CLIENT_ID";
    const SECRET: &str = "SENTRY_ACCESS_CLIENT_SECRET";
    let mut header = |name, other_problem| -> Option<Result<String, ()>> {
        let value = text(values, name, complaints)?;
        if value.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
            return Some(Ok(value.to_owned()));
        }
        complaints.push(Complaint {
            binding: name,
            problem: other_problem,
        });
        Some(Err(()))
    };
    const NOT_A_HEADER: &str = "cannot be sent in a header; no Access headers are sent";
    let id = header(ID, NOT_A_HEADER);
    let secret = header(SECRET, NOT_A_HEADER);
    match (id, secret) {
        (Some(Ok(id)), Some(Ok(secret))) => Some((id, secret)),
        (Some(Ok(_)), None) => {
            complaints.push(Complaint {
                binding: SECRET,
                problem: "is missing; no Access headers are sent",
            });
            None
        }
        (None, Some(Ok(_))) => {
            complaints.push(Complaint {
                binding: ID,
                problem: "is missing; no Access headers are sent",
            });
            None
        }
        _ => None,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::platform::testing::{Fake, Outcome, block_on};
    use proptest::prelude::*;

    const GOOD_DSN: &str = "https://key@sentry.example.com/42";

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    fn bound(pairs: &[(&'static str, &str)]) -> Values {
        pairs.iter().fold(
            Values::default().with(DSN, text(GOOD_DSN)),
            |values, (name, value)| values.with(name, text(value)),
        )
    }

    fn resolve(pairs: &[(&'static str, &str)]) -> Loaded {
        Config::resolve(&Fake::default(), &bound(pairs)).expect("a usable DSN")
    }

    /// A configuration for the tests of later steps.
    pub(crate) fn config(pairs: &[(&'static str, &str)]) -> Config {
        let dsn = (DSN, "https://key@s.example.com/1");
        resolve(&[&[dsn], pairs].concat()).config
    }

    fn complained(loaded: &Loaded) -> Vec<&'static str> {
        loaded
            .complaints
            .iter()
            .map(|complaint| complaint.binding)
            .collect()
    }

    #[test]
    fn only_a_dsn_is_needed_and_the_rest_has_defaults() {
        let Loaded { config, complaints } = resolve(&[]);
        assert_eq!(config.release, None);
        assert_eq!(config.environment, "production");
        assert_eq!(config.traces_sample_rate, None);
        assert_eq!(config.sample_rate, 1.0);
        assert_eq!(config.tunnel, None);
        assert_eq!(config.access, None);
        assert_eq!(complaints, []);
    }

    #[test]
    fn every_form_of_a_dsn_is_taken() {
        let table = [
            (
                "https://key@sentry.example.com/1",
                "https://sentry.example.com/api/1/envelope/",
            ),
            (
                "http://key@127.0.0.1:8000/1",
                "http://127.0.0.1:8000/api/1/envelope/",
            ),
            (
                "https://key@[::1]:9000/7",
                "https://[::1]:9000/api/7/envelope/",
            ),
            (
                "https://key@example.com/a/b/9",
                "https://example.com/a/b/api/9/envelope/",
            ),
            (
                "https://key:secret@example.com/1",
                "https://example.com/api/1/envelope/",
            ),
            (
                "  https://key@example.com/1\n",
                "https://example.com/api/1/envelope/",
            ),
        ];
        for (dsn, url) in table {
            let loaded = resolve(&[(DSN, dsn)]);
            assert_eq!(loaded.config.dsn.envelope_url, url);
        }
    }

    #[test]
    fn an_unusable_dsn_fails_the_load_and_is_not_shown() {
        let unusable = [
            text(""),
            text("   "),
            text("hunter2"),
            text("https://hunter2.example.com/1"),
            text("https://hunter2@example.com/"),
            text("ftp://hunter2@example.com/1"),
            text("https://hunter2@/1"),
            text("https://hunter2@example.com:99999/1"),
            text("\u{0}"),
            Value::NotText,
            Value::Unreadable,
            Value::Absent,
        ];
        for value in unusable {
            let complaint = Config::resolve(
                &Fake::default(),
                &Values::default().with(DSN, value.clone()),
            )
            .expect_err("unusable");
            assert_eq!(complaint.binding, DSN, "{value:?}");
            assert!(!complaint.problem.contains("hunter2"), "{value:?}");
        }
    }

    #[test]
    fn the_release_falls_back_to_the_compiler_version_and_then_to_the_version_id() {
        let release = |pairs: &[(&'static str, &str)]| resolve(pairs).config.release;
        let all = [
            ("SENTRY_RELEASE", "r"),
            ("COMPILER_VERSION", "c"),
            (VERSION_METADATA, "v"),
        ];
        assert_eq!(release(&all).as_deref(), Some("r"));
        assert_eq!(release(&all[1..]).as_deref(), Some("c"));
        assert_eq!(release(&all[2..]).as_deref(), Some("v"));
        assert_eq!(
            release(&[("SENTRY_RELEASE", " "), all[1]]).as_deref(),
            Some("c")
        );
    }

    #[test]
    fn a_release_that_sentry_refuses_is_named_and_the_next_one_is_taken() {
        for refused in [
            "a/b",
            "a\\b",
            "a\nb",
            "a\tb",
            ".",
            "..",
            "Latest",
            &"x".repeat(201),
            &"ü".repeat(101),
        ] {
            let loaded = resolve(&[("SENTRY_RELEASE", refused), ("COMPILER_VERSION", "c")]);
            assert_eq!(loaded.config.release.as_deref(), Some("c"), "{refused:?}");
            assert_eq!(complained(&loaded), ["SENTRY_RELEASE"], "{refused:?}");
        }
        let longest = "x".repeat(200);
        assert_eq!(
            complained(&resolve(&[("SENTRY_RELEASE", &longest)])),
            [""; 0]
        );
    }

    #[test]
    fn sentry_environment_wins_over_environment() {
        let environment = |pairs: &[(&'static str, &str)]| resolve(pairs).config.environment;
        let both = [("SENTRY_ENVIRONMENT", "s"), ("ENVIRONMENT", "e")];
        assert_eq!(environment(&both), "s");
        assert_eq!(environment(&both[1..]), "e");
        for refused in [
            "a b",
            "a/b",
            "a\\b",
            "a\nb",
            ".",
            "..",
            "None",
            &"x".repeat(65),
            &"ü".repeat(33),
        ] {
            let loaded = resolve(&[("SENTRY_ENVIRONMENT", refused), both[1]]);
            assert_eq!(loaded.config.environment, "e", "{refused:?}");
            assert_eq!(complained(&loaded), ["SENTRY_ENVIRONMENT"], "{refused:?}");
        }
    }

    #[test]
    fn a_rate_is_a_number_from_0_to_1() {
        for (value, rate) in [("0", 0.0), ("1", 1.0), ("0.25", 0.25), (" 1.0 ", 1.0)] {
            let loaded = resolve(&[("SENTRY_SAMPLE_RATE", value)]);
            assert_eq!(loaded.config.sample_rate, rate, "{value}");
            let loaded = resolve(&[("SENTRY_TRACES_SAMPLE_RATE", value)]);
            let traces = loaded.config.traces_sample_rate.map(Rate::share);
            // The rate 0 is a sampling decision; no rate means that there is none.
            assert_eq!(traces, Some(rate), "{value}");
        }
        for value in ["1.01", "-0.1", "NaN", "inf", "half", "50%", "1,0"] {
            let loaded = resolve(&[("SENTRY_SAMPLE_RATE", value)]);
            assert_eq!(loaded.config.sample_rate, 1.0, "{value}");
            assert_eq!(complained(&loaded), ["SENTRY_SAMPLE_RATE"], "{value}");
            let loaded = resolve(&[("SENTRY_TRACES_SAMPLE_RATE", value)]);
            assert_eq!(loaded.config.traces_sample_rate, None, "{value}");
            assert_eq!(
                complained(&loaded),
                ["SENTRY_TRACES_SAMPLE_RATE"],
                "{value}"
            );
        }
    }

    #[test]
    fn debug_is_on_or_off() {
        for (value, on) in [
            ("on", Some(true)),
            ("TRUE", Some(true)),
            ("1", Some(true)),
            ("yes", Some(true)),
            ("off", Some(false)),
            ("false", Some(false)),
            ("0", Some(false)),
            ("no", Some(false)),
            ("perhaps", None),
        ] {
            assert_eq!(is_on(value), on, "{value}");
            let named = complained(&resolve(&[(DEBUG, value)]));
            assert_eq!(named.is_empty(), on.is_some(), "{value}");
        }
    }

    #[test]
    fn a_tunnel_is_an_http_url() {
        let loaded = resolve(&[("SENTRY_TUNNEL", "https://t.example.com/x")]);
        assert_eq!(
            loaded.config.tunnel.as_deref(),
            Some("https://t.example.com/x")
        );
        for refused in ["/x", "t.example.com", "ftp://t.example.com"] {
            let loaded = resolve(&[("SENTRY_TUNNEL", refused)]);
            assert_eq!(loaded.config.tunnel, None);
            assert_eq!(complained(&loaded), ["SENTRY_TUNNEL"]);
        }
    }

    #[test]
    fn a_service_is_a_binding_that_fetches_and_nothing_leaves_another_way_if_it_is_none() {
        let with = |value| {
            let values = bound(&[]).with(SERVICE, value);
            let loaded = Config::resolve(&Fake::default(), &values);
            loaded.map(|loaded| loaded.config.has_service)
        };
        assert_eq!(with(Value::Service), Ok(true));
        assert_eq!(with(Value::Absent), Ok(false));
        assert_eq!(with(Value::Text(" ".to_owned())), Ok(false));
        for unusable in [
            Value::Text("a Worker".to_owned()),
            Value::NotText,
            Value::Unreadable,
        ] {
            let complaint = with(unusable).expect_err("a complaint");
            assert_eq!(complaint.binding, SERVICE);
        }
    }

    #[test]
    fn access_needs_both_of_its_secrets_and_both_must_fit_a_header() {
        const ID: &str = "SENTRY_ACCESS_CLIENT_ID";
        const SECRET: &str = "SENTRY_ACCESS_CLIENT_SECRET";
        let loaded = resolve(&[(ID, "i"), (SECRET, "s")]);
        assert_eq!(loaded.config.access, Some(("i".to_owned(), "s".to_owned())));
        for (pairs, named) in [
            (vec![(ID, "i")], vec![SECRET]),
            (vec![(SECRET, "s")], vec![ID]),
            (vec![(ID, "i\u{e9}"), (SECRET, "s")], vec![ID]),
            (vec![(ID, "i"), (SECRET, "s\nx")], vec![SECRET]),
        ] {
            let loaded = resolve(&pairs);
            assert_eq!(loaded.config.access, None, "{pairs:?}");
            assert_eq!(complained(&loaded), named, "{pairs:?}");
        }
    }

    #[test]
    fn a_binding_of_the_wrong_kind_is_named_and_its_default_applies() {
        let without_default = [DSN, SERVICE];
        let has_default = |name: &&str| !without_default.contains(name);
        for name in BINDINGS.into_iter().filter(has_default) {
            for value in [Value::NotText, Value::Unreadable] {
                let values = bound(&[]).with(name, value);
                let loaded = Config::resolve(&Fake::default(), &values).expect("a usable DSN");
                assert_eq!(complained(&loaded), [name]);
                assert_eq!(loaded.config.environment, "production");
                assert_eq!(loaded.config.sample_rate, 1.0);
            }
        }
    }

    #[test]
    fn a_secrets_store_binding_is_read_like_any_other() {
        let fake = Fake::default();
        fake.world
            .bindings
            .borrow_mut()
            .insert(DSN, Binding::Secret(()));
        *fake.world.reflex.borrow_mut() = Some(|_| Outcome::Secret(Some(GOOD_DSN.to_owned())));
        let loaded = block_on(load(&fake)).expect("a usable DSN");
        assert!(loaded.config.dsn.text.contains("@sentry.example.com/"));
        // A panic cannot wait for a Secrets Store, so its load fails.
        assert_eq!(load_now(&fake).expect_err("not now").binding, DSN);
    }

    #[test]
    fn each_binding_is_read_by_its_name_with_and_without_a_wait() {
        for name in BINDINGS.into_iter().chain([VERSION_METADATA]) {
            let fake = Fake::default();
            fake.world.bind(DSN, GOOD_DSN);
            let read = || {
                let waiting = format!("{:?}", block_on(load(&fake)));
                assert_eq!(waiting, format!("{:?}", load_now(&fake)), "{name}");
                waiting
            };
            let without = read();
            // A text that is the default of none of them.
            fake.world.bind(name, "0.25");
            assert_ne!(read(), without, "{name}");
        }
    }

    proptest! {
        #[test]
        fn no_text_in_any_binding_makes_it_panic_and_no_complaint_repeats_it(
            values in proptest::collection::vec("\\PC{0,40}|[ -~]{0,40}|\\s{0,3}", BINDINGS.len()),
            dsn in proptest::bool::ANY,
        ) {
            let mut all = BINDINGS.iter().zip(&values).fold(
                Values::default(),
                |all, (name, value)| all.with(name, text(value)),
            );
            if dsn {
                all = all.with(DSN, text(GOOD_DSN));
            }
            let complaints = match Config::resolve(&Fake::default(), &all) {
                Ok(loaded) => loaded.complaints,
                Err(complaint) => vec![complaint],
            };
            for complaint in complaints {
                prop_assert!(BINDINGS.contains(&complaint.binding));
            }
        }
    }
}
