//! Step 2, *load*: the bindings become a [`Config`].
//!
//! Reading can wait (a Secrets Store binding is asynchronous) and can fail (a
//! DSN can be malformed). [`load`] does the waiting, [`Config::resolve`] decides,
//! and only the decision knows what a binding means.

use std::borrow::Cow;

use sentry_core::types::Dsn;
use worker::Url;

use crate::runtime::{Binding, Runtime};

/// Where events go. Its absence turns everything off.
pub(crate) const DSN: &str = "SENTRY_DSN";
/// Turns on one console line for each decision.
pub(crate) const DEBUG: &str = "SENTRY_DEBUG";

/// Every binding the crate reads, in the order of the book's table.
pub(crate) const BINDINGS: [&str; 11] = [
    DSN,
    "SENTRY_RELEASE",
    "COMPILER_VERSION",
    "SENTRY_ENVIRONMENT",
    "ENVIRONMENT",
    "SENTRY_TRACES_SAMPLE_RATE",
    "SENTRY_SAMPLE_RATE",
    DEBUG,
    "SENTRY_TUNNEL",
    "SENTRY_ACCESS_CLIENT_ID",
    "SENTRY_ACCESS_CLIENT_SECRET",
];

/// The name under which `[version_metadata]` is bound, as in Sentry's own
/// JavaScript SDK for this platform.
pub(crate) const VERSION_METADATA: &str = "CF_VERSION_METADATA";

/// Sentry refuses longer releases.
/// <https://docs.sentry.io/platforms/javascript/configuration/releases/>
const MAX_RELEASE: usize = 200;
/// Sentry refuses longer environments.
/// <https://docs.sentry.io/platforms/javascript/configuration/environments/>
const MAX_ENVIRONMENT: usize = 64;

/// The settings of an isolate's client.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) dsn: Dsn,
    pub(crate) release: Option<Cow<'static, str>>,
    pub(crate) environment: Cow<'static, str>,
    pub(crate) traces_sample_rate: f32,
    pub(crate) sample_rate: f32,
    pub(crate) tunnel: Option<Url>,
    pub(crate) access: Option<(String, String)>,
}

/// What was wrong with a binding: its name, never its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Complaint {
    pub(crate) binding: &'static str,
    pub(crate) problem: &'static str,
}

/// A usable configuration and what was ignored to get it.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    pub(crate) config: Config,
    pub(crate) complaints: Vec<Complaint>,
}

/// What was read from one binding.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Value {
    #[default]
    Absent,
    Text(String),
    NotText,
    /// A Secrets Store that did not answer with a secret.
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
    Config::resolve(&read)
}
// ANCHOR_END: load

/// The same without waiting, for a panic: a Secrets Store reads as unreadable.
pub(crate) fn load_now(runtime: &impl Runtime) -> Result<Loaded, Complaint> {
    let read_now = |name| match runtime.binding(name) {
        Binding::Absent => Value::Absent,
        Binding::Text(text) => Value::Text(text),
        Binding::NotText => Value::NotText,
        Binding::Secret(_) => Value::Unreadable,
    };
    Config::resolve(&Values {
        values: BINDINGS.map(read_now),
        version_id: read_now(VERSION_METADATA),
    })
}

async fn read_binding(runtime: &impl Runtime, name: &'static str) -> Value {
    match runtime.binding(name) {
        Binding::Absent => Value::Absent,
        Binding::Text(text) => Value::Text(text),
        Binding::NotText => Value::NotText,
        Binding::Secret(secret) => match runtime.secret(secret).await {
            Some(text) => Value::Text(text),
            None => Value::Unreadable,
        },
    }
}

impl Config {
    /// The pure decision of this step.
    ///
    /// An unusable DSN is an error, because without it there is nothing to
    /// deliver to. Anything else that cannot be used is complained about and its
    /// default applies.
    pub(crate) fn resolve(values: &Values) -> Result<Loaded, Complaint> {
        let dsn = resolve_dsn(values)?;
        let mut complaints = Vec::new();
        let config = Config {
            dsn,
            release: resolve_release(values, &mut complaints),
            environment: resolve_environment(values, &mut complaints),
            traces_sample_rate: resolve_rate(
                values,
                "SENTRY_TRACES_SAMPLE_RATE",
                0.0,
                "is not a number from 0 to 1; using 0",
                &mut complaints,
            ),
            sample_rate: resolve_rate(
                values,
                "SENTRY_SAMPLE_RATE",
                1.0,
                "is not a number from 0 to 1; using 1",
                &mut complaints,
            ),
            tunnel: resolve_tunnel(values, &mut complaints),
            access: resolve_access(values, &mut complaints),
        };
        check_debug(values, &mut complaints);
        Ok(Loaded { config, complaints })
    }
}

fn resolve_dsn(values: &Values) -> Result<Dsn, Complaint> {
    let complain = |problem| {
        Err(Complaint {
            binding: DSN,
            problem,
        })
    };
    match values.get(DSN) {
        Value::Absent => complain("is not bound; nothing is reported"),
        Value::NotText => complain("is not text; nothing is reported"),
        Value::Unreadable => complain("could not be read from the Secrets Store; will try again"),
        Value::Text(text) => match text.trim().parse::<Dsn>() {
            Ok(dsn) => Ok(dsn),
            Err(_) => complain("is not a Sentry DSN; nothing is reported"),
        },
    }
}

/// Text that is present and not blank. Blank counts as absent: `wrangler` has no
/// way to unset a var of a parent environment other than making it empty.
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
        Value::NotText => "is not text; ignored",
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
    release.chars().count() <= MAX_RELEASE
        && !matches!(release, "" | "." | "..")
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
    environment.chars().count() <= MAX_ENVIRONMENT
        && !environment.eq_ignore_ascii_case("none")
        && !environment.contains(|c: char| c.is_control() || c.is_whitespace() || c == '/')
}

fn resolve_rate(
    values: &Values,
    name: &'static str,
    default: f32,
    problem: &'static str,
    complaints: &mut Vec<Complaint>,
) -> f32 {
    let Some(text) = text(values, name, complaints) else {
        return default;
    };
    match text.parse::<f32>() {
        Ok(rate) if (0.0..=1.0).contains(&rate) => rate,
        _ => {
            complaints.push(Complaint {
                binding: name,
                problem,
            });
            default
        }
    }
}

/// `SENTRY_DEBUG` is read where a line would be written, also before there is a
/// configuration; here it is only checked.
fn check_debug(values: &Values, complaints: &mut Vec<Complaint>) {
    if text(values, DEBUG, complaints).is_some_and(|text| is_on(text).is_none()) {
        complaints.push(Complaint {
            binding: DEBUG,
            problem: "is neither on nor off; using off",
        });
    }
}

/// Reads a switch.
pub(crate) fn is_on(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "on" | "true" | "1" | "yes" => Some(true),
        "off" | "false" | "0" | "no" => Some(false),
        _ => None,
    }
}

fn resolve_tunnel(values: &Values, complaints: &mut Vec<Complaint>) -> Option<Url> {
    const NAME: &str = "SENTRY_TUNNEL";
    let text = text(values, NAME, complaints)?;
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Some(url),
        _ => {
            complaints.push(Complaint {
                binding: NAME,
                problem: "is not an http or https URL; events go to the DSN's host",
            });
            None
        }
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
