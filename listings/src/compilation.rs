//! A compilation, as the coordinator stores it, and its progress.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A compilation without any progress for this long is given up.
pub const STALE_MS: u64 = 15 * 60_000;

/// A compilation, as the coordinator stores it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compilation {
    /// The name of the list and a hash of its sources.
    pub id: String,
    /// The list's name.
    pub name: String,
    /// The Workflow instance that does the work.
    pub instance: String,
    /// The stage of the work.
    pub stage: Stage,
    /// The time of the last progress.
    pub heard_ms: u64,
}

/// The stage of a compilation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "stage")]
pub enum Stage {
    /// Waiting for its Workflow.
    Started,
    /// Some sources were fetched.
    Fetching {
        /// The number of fetched sources.
        done: usize,
        /// The number of all sources.
        of: usize,
    },
    /// Reading the rules.
    Parsing,
    /// Removing rules that occur more than once.
    Normalising,
    /// The list is stored.
    Done {
        /// Rules in the list.
        rules: usize,
        /// The list's version.
        version: String,
    },
    /// The compilation failed.
    Failed {
        /// The reason.
        reason: String,
    },
}

/// A stage of a compilation, as subscribers and the coordinator are told of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The compilation's id.
    pub id: String,
    /// Its stage.
    #[serde(flatten)]
    pub stage: Stage,
}

/// A stored compilation that cannot be read back.
#[derive(Debug, Error)]
#[error("the compilation stored under `{key}` cannot be read")]
pub struct UnreadableCompilation {
    /// Its storage key.
    pub key: String,
    /// The error of the JSON reader.
    pub source: serde_json::Error,
}

impl Compilation {
    /// The storage key of a compilation.
    pub fn key_of(id: &str) -> String {
        format!("compilation:{id}")
    }

    /// The form in which a compilation is stored.
    ///
    /// # Errors
    ///
    /// Never, because every key of a compilation is text.
    pub fn to_stored(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    /// Reads a stored compilation back.
    ///
    /// # Errors
    ///
    /// If the text is not what [`Compilation::to_stored`] writes.
    pub fn from_stored(key: &str, stored: &str) -> Result<Self, UnreadableCompilation> {
        serde_json::from_str(stored).map_err(|source| UnreadableCompilation {
            key: key.to_owned(),
            source,
        })
    }

    /// Whether a request for the same list can share this compilation.
    pub fn can_be_joined(&self, now_ms: u64) -> bool {
        !self.stage.is_final() && !self.is_stale(now_ms)
    }

    /// Whether no more progress is expected.
    pub fn is_stale(&self, now_ms: u64) -> bool {
        now_ms >= self.heard_ms.saturating_add(STALE_MS)
    }

    /// What subscribers have to be told about a compilation that is stale: nothing if it had ended,
    /// and otherwise a failure.
    pub fn expire(self) -> Option<Progress> {
        let reason = "nothing was heard of the compilation for too long".to_owned();
        (!self.stage.is_final()).then_some(Progress {
            id: self.id,
            stage: Stage::Failed { reason },
        })
    }
}

impl Stage {
    /// Whether a compilation has ended and will not change.
    pub fn is_final(&self) -> bool {
        matches!(self, Stage::Done { .. } | Stage::Failed { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compilation(stage: Stage) -> Compilation {
        Compilation {
            id: "a-1".into(),
            name: "a".into(),
            instance: "a-1-0".into(),
            stage,
            heard_ms: 1_000,
        }
    }

    fn done() -> Stage {
        Stage::Done {
            rules: 1,
            version: "v".into(),
        }
    }

    #[test]
    fn a_running_compilation_is_joined_until_nothing_is_heard_of_it() {
        let running = compilation(Stage::Parsing);
        let quarter_ms = 900_000;
        assert!(running.can_be_joined(1_000 + quarter_ms - 1));
        assert!(!running.can_be_joined(1_000 + quarter_ms));
        assert!(!compilation(done()).can_be_joined(1_000));
    }

    #[test]
    fn only_a_compilation_that_had_not_ended_fails_when_it_expires() {
        assert_eq!(compilation(done()).expire(), None);
        let left = compilation(Stage::Started).expire().expect("a failure");
        assert!(matches!(left.stage, Stage::Failed { .. }));
    }

    #[test]
    fn a_compilation_survives_storage() {
        let running = compilation(Stage::Fetching { done: 1, of: 2 });
        let stored = running.to_stored().expect("JSON");
        let read = Compilation::from_stored("key", &stored).expect("our own text");
        assert_eq!(read, running);
    }

    #[test]
    fn an_unreadable_compilation_names_its_key() {
        let error = Compilation::from_stored("compilation:easy-1", "{").expect_err("not JSON");
        assert!(error.to_string().contains("`compilation:easy-1`"));
    }

    #[test]
    fn progress_is_one_flat_object() {
        let progress = Progress {
            id: "a-1".into(),
            stage: Stage::Fetching { done: 1, of: 2 },
        };
        let json = serde_json::to_string(&progress).expect("JSON");
        assert_eq!(json, r#"{"id":"a-1","stage":"fetching","done":1,"of":2}"#);
        let read: Progress = serde_json::from_str(&json).expect("our own text");
        assert_eq!(read, progress);
    }

    #[test]
    fn each_compilation_has_a_key_of_its_own() {
        assert_eq!(Compilation::key_of("a-1"), "compilation:a-1");
    }
}
