//! Check-ins of cron monitors.
//!
//! <https://develop.sentry.dev/sdk/telemetry/check-ins/>

use serde::Serialize;
use serde::ser::{SerializeStruct, Serializer};

use super::Item;
use crate::trace::TraceId;
use crate::trace::ids::Id;

/// The status of a check-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    InProgress,
    Ok,
    Error,
}

/// When a run is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Schedule {
    /// An expression in Sentry's dialect, as [`translate`](super::schedule::translate)
    /// writes it.
    Crontab(String),
    /// An interval in minutes.
    Minutes(u32),
}

impl Serialize for Schedule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Schedule", 3)?;
        match self {
            Schedule::Crontab(expression) => {
                fields.serialize_field("type", "crontab")?;
                fields.serialize_field("value", expression)?;
            }
            Schedule::Minutes(minutes) => {
                fields.serialize_field("type", "interval")?;
                fields.serialize_field("value", &(*minutes).max(1))?;
                fields.serialize_field("unit", "minute")?;
            }
        }
        fields.end()
    }
}

/// The settings of the monitor. When Sentry gets a check-in with them, it creates the monitor or
/// updates it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct MonitorConfig {
    pub(crate) schedule: Schedule,
    /// How many minutes late a check-in may be before it counts as missed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) checkin_margin: Option<u32>,
    /// How many minutes a run may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_runtime: Option<u32>,
    /// How many failed check-ins in a row open an issue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) failure_issue_threshold: Option<u32>,
    /// How many successful check-ins in a row resolve the issue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) recovery_threshold: Option<u32>,
    timezone: &'static str,
}

impl MonitorConfig {
    /// The settings for a schedule, with Sentry's defaults for the rest. The time zone is UTC,
    /// as for Cloudflare's triggers.
    pub(crate) fn new(schedule: Schedule) -> Self {
        MonitorConfig {
            schedule,
            checkin_margin: None,
            max_runtime: None,
            failure_issue_threshold: None,
            recovery_threshold: None,
            timezone: "Etc/UTC",
        }
    }
}

/// One check-in. Both check-ins of a run have the same id.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct CheckIn<'a> {
    check_in_id: Id<16>,
    monitor_slug: &'a str,
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    release: Option<&'a str>,
    environment: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    monitor_config: Option<&'a MonitorConfig>,
    contexts: Contexts,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct Contexts {
    trace: Trace,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct Trace {
    trace_id: TraceId,
}

/// The fields that both check-ins of one run share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run<'a> {
    pub(crate) check_in_id: Id<16>,
    /// At most 50 bytes, as [`slug`](super::schedule::slug) makes it.
    pub(crate) monitor_slug: &'a str,
    pub(crate) release: Option<&'a str>,
    pub(crate) environment: &'a str,
    pub(crate) monitor_config: Option<&'a MonitorConfig>,
    pub(crate) trace_id: TraceId,
}

impl<'a> Run<'a> {
    /// The check-in of the beginning.
    pub(crate) fn begins(&self) -> CheckIn<'a> {
        self.check_in(Status::InProgress, None)
    }

    /// The check-in of the end. `took_ms` is the duration of the run.
    pub(crate) fn ends(&self, succeeded: bool, took_ms: f64) -> CheckIn<'a> {
        let status = if succeeded { Status::Ok } else { Status::Error };
        let took = Some(took_ms).filter(|took| took.is_finite());
        self.check_in(status, took.map(|took| took.max(0.0) / 1_000.0))
    }

    fn check_in(&self, status: Status, duration: Option<f64>) -> CheckIn<'a> {
        CheckIn {
            check_in_id: self.check_in_id,
            monitor_slug: self.monitor_slug,
            status,
            duration,
            release: self.release,
            environment: self.environment,
            monitor_config: self.monitor_config,
            contexts: Contexts {
                trace: Trace {
                    trace_id: self.trace_id,
                },
            },
        }
    }
}

/// A check-in as JSON.
pub(crate) struct Written(Vec<u8>);

impl CheckIn<'_> {
    /// Writes the check-in. `None` if it cannot be written as JSON.
    pub(crate) fn written(&self) -> Option<Written> {
        serde_json::to_vec(self).ok().map(Written)
    }
}

impl Item for Written {
    fn kind(&self) -> &'static str {
        "check_in"
    }

    fn id(&self) -> Option<uuid::Uuid> {
        None
    }

    fn write(&self) -> Option<Vec<u8>> {
        Some(self.0.clone())
    }

    fn trim(&mut self, _: usize) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn run(monitor_config: Option<&MonitorConfig>) -> Run<'_> {
        Run {
            check_in_id: Id::random([0x11; 16]),
            monitor_slug: "cron-0-x-x-x-x",
            release: Some("r"),
            environment: "production",
            monitor_config,
            trace_id: TraceId::random([0x77; 16]),
        }
    }

    /// <https://develop.sentry.dev/sdk/telemetry/check-ins/#monitor-upsert-support>
    #[test]
    fn a_check_in_is_written_as_sentry_specifies_it() {
        let mut config = MonitorConfig::new(Schedule::Crontab("0 * * * *".to_owned()));
        config.checkin_margin = Some(5);
        config.max_runtime = Some(30);
        config.failure_issue_threshold = Some(2);
        config.recovery_threshold = Some(3);
        let begin = json!({
            "check_in_id": "11".repeat(16),
            "monitor_slug": "cron-0-x-x-x-x",
            "status": "in_progress",
            "release": "r",
            "environment": "production",
            "monitor_config": {
                "schedule": {"type": "crontab", "value": "0 * * * *"},
                "checkin_margin": 5,
                "max_runtime": 30,
                "failure_issue_threshold": 2,
                "recovery_threshold": 3,
                "timezone": "Etc/UTC",
            },
            "contexts": {"trace": {"trace_id": "77".repeat(16)}},
        });
        assert_eq!(json!(run(Some(&config)).begins()), begin);
    }

    #[test]
    fn the_end_has_the_id_of_the_beginning_a_status_and_how_long_it_took() {
        for (succeeded, status) in [(true, "ok"), (false, "error")] {
            let end = json!(run(None).ends(succeeded, 1_500.0));
            assert_eq!(end["check_in_id"], json!(run(None).begins())["check_in_id"]);
            assert_eq!(end["status"], status);
            assert_eq!(end["duration"], 1.5);
            assert_eq!(end.get("monitor_config"), None);
        }
        assert_eq!(json!(run(None).ends(true, -1.0))["duration"], 0.0);
        assert_eq!(json!(run(None).ends(true, f64::NAN)).get("duration"), None);
    }

    #[test]
    fn an_interval_is_at_least_a_minute() {
        for (given, value) in [(0, 1), (1, 1), (60, 60)] {
            let config = MonitorConfig::new(Schedule::Minutes(given));
            let expected = json!({
                "schedule": {"type": "interval", "value": value, "unit": "minute"},
                "timezone": "Etc/UTC",
            });
            assert_eq!(json!(config), expected);
        }
    }
}
