//! Records a run: takes what the run's scope recorded and logged, and sends it.
//! Without the features `spans` and `logs`, each function here does nothing.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use worker::Env;

use crate::platform::workerd::Workerd;
use crate::scope::Scope;

/// The future that sends what a run has recorded and logged.
pub(crate) type Errand = Pin<Box<dyn Future<Output = ()>>>;

#[cfg(not(feature = "spans"))]
mod off {
    use super::*;

    #[inline(always)]
    pub(crate) fn begin(_: &Workerd<'_>, scope: Rc<Scope>) -> Rc<Scope> {
        scope
    }

    #[inline(always)]
    pub(crate) fn begin_at(_: &Workerd<'_>, _: &Scope, _: f64) {}

    #[inline(always)]
    pub(crate) fn created_ms(_: &worker::Date) -> f64 {
        0.0
    }

    #[cfg(feature = "queue")]
    #[inline(always)]
    pub(crate) fn begin_message(_: &Scope, scope: Rc<Scope>) -> Rc<Scope> {
        scope
    }

    #[cfg(feature = "queue")]
    #[inline(always)]
    pub(crate) fn end_message(_: &Scope, _: &Scope, _: bool) {}

    #[inline(always)]
    pub(super) fn transaction(_: &Env, _: &Scope, _: bool) -> Option<Errand> {
        None
    }
}
#[cfg(not(feature = "spans"))]
pub(crate) use off::*;

/// Ends the recording of a run. Returns the future that sends it, with the run's logs.
#[cfg(not(feature = "logs"))]
#[inline(always)]
pub(crate) fn end(env: &Env, scope: &Scope, is_ok: bool) -> Option<Errand> {
    transaction(env, scope, is_ok)
}

/// The future that sends the logs that a run has so far, for a run that may not go on.
#[cfg(not(feature = "logs"))]
#[inline(always)]
pub(crate) fn end_part(_: &Env, _: &Scope) -> Option<Errand> {
    None
}

#[cfg(feature = "logs")]
pub(crate) use logs::*;

#[cfg(feature = "logs")]
mod logs {
    use std::cell::Cell;

    use super::*;

    /// Takes the logs that a run has so far, and returns the future that sends them.
    type Deliver = fn(&Env, &Scope) -> Option<Errand>;

    thread_local! {
        /// Set by the first log. Only code that writes a log refers to the code that sends logs,
        /// so a Worker that has the feature and writes no log does not link that code.
        static DELIVER: Cell<Option<Deliver>> = const { Cell::new(None) };
    }

    /// Sets the function that delivers the logs of each run from now on.
    pub(crate) fn deliver_with(deliver: Deliver) {
        DELIVER.set(Some(deliver));
    }

    /// Ends the recording of a run. Returns the future that sends it, with the run's logs.
    pub(crate) fn end(env: &Env, scope: &Scope, is_ok: bool) -> Option<Errand> {
        let transaction = transaction(env, scope, is_ok);
        let logs = match scope.ends_with_logs() {
            true => end_part(env, scope),
            false => None,
        };
        match (transaction, logs) {
            // The scope itself polls what it has started, so the logs are given to the scope.
            (transaction, Some(logs)) if scope.outlives_handler() => {
                scope.send(logs);
                transaction
            }
            (Some(transaction), Some(logs)) => Some(Box::pin(async {
                futures_util::future::join(transaction, logs).await;
            })),
            (transaction, logs) => transaction.or(logs),
        }
    }

    /// The future that sends the logs that a run has so far, for a run that may not go on.
    pub(crate) fn end_part(env: &Env, scope: &Scope) -> Option<Errand> {
        DELIVER.get()?(env, scope)
    }
}

#[cfg(feature = "spans")]
pub(crate) use on::*;

#[cfg(feature = "spans")]
mod on {
    use super::*;
    use crate::item::transaction::{Sealed, Source};
    use crate::item::{Category, Item};
    use crate::platform::workerd::SENSES;
    use crate::scope::spans::{Record, Recorder};
    use crate::steps;
    use crate::steps::client::IsolateClient;
    use crate::steps::guard::traces_sample_rate;
    use crate::steps::prepare::{Make, Parcel};
    use crate::steps::slot::shared;
    use crate::trace::ids::Id;

    /// Records a run from now on, if the Worker has a sample rate.
    pub(crate) fn begin(runtime: &Workerd<'_>, scope: Rc<Scope>) -> Rc<Scope> {
        if let Some(rate) = traces_sample_rate(runtime, shared()) {
            scope.record(|position| Recorder::new(position, rate, SENSES, None));
        }
        scope
    }

    /// Records a run that began at `ms`.
    pub(crate) fn begin_at(runtime: &Workerd<'_>, scope: &Scope, ms: f64) {
        if let Some(rate) = traces_sample_rate(runtime, shared()) {
            scope.record(|position| Recorder::new(position, rate, SENSES, Some(ms)));
        }
    }

    /// When an instance of a Workflow was created, in milliseconds since 1970.
    pub(crate) fn created_ms(created: &worker::Date) -> f64 {
        created.as_millis() as f64
    }

    /// Records the work for a message whose trace differs from that of its batch.
    #[cfg(feature = "queue")]
    pub(crate) fn begin_message(around: &Scope, scope: Rc<Scope>) -> Rc<Scope> {
        let Some(env) = crate::panics::env() else {
            return scope;
        };
        let scope = begin(&Workerd::new(&env), scope);
        scope.resemble(around);
        scope
    }

    /// Ends the recording of the work for a message.
    #[cfg(feature = "queue")]
    pub(crate) fn end_message(around: &Scope, scope: &Scope, is_ok: bool) {
        if let Some(env) = crate::panics::env()
            && let Some(transaction) = transaction(&env, scope, is_ok)
        {
            around.send(transaction);
        }
    }

    /// Records an attempt of a Workflow's step.
    pub(crate) fn begin_attempt(runtime: &Workerd<'_>, scope: &Scope, name: &str, attempt: u32) {
        let Some(rate) = traces_sample_rate(runtime, shared()) else {
            return;
        };
        scope.record(|position| Recorder::new(position, rate, SENSES, None));
        scope.suggest_name(name.to_owned(), Source::Task);
        scope.set_data("workflow.step.name", name.to_owned());
        scope.set_data("cloudflare.workflow.attempt", u64::from(attempt));
    }

    /// Ends the recording of a run, and returns the future that sends it.
    pub(super) fn transaction(env: &Env, scope: &Scope, is_ok: bool) -> Option<Errand> {
        let record = scope.end(is_ok)?;
        let runtime = Workerd::owned(env);
        Some(Box::pin(async move {
            let parcel = Parcel::Item(Category::Transaction, make(record));
            steps::finish(&runtime, shared(), parcel).await;
        }))
    }

    fn make(record: Record) -> Make {
        let make = move |client: &IsolateClient| -> Option<Box<dyn Item>> {
            let own = client.own();
            // The decision to sample has already drawn the trace's random numbers.
            let at = record.position.locate(&own, || None)?;
            // The organisation was not known at that decision, so the trace is asked again.
            if !at.trace.records {
                return None;
            }
            let mut id = [0; 16];
            id.copy_from_slice(&(SENSES.random)()?[..16]);
            let id = uuid::Builder::from_random_bytes(id).into_uuid();
            Some(Box::new(Sealed {
                transaction: record.transaction,
                event_id: Id::random(*id.as_bytes()),
                at,
                release: own.release.map(str::to_owned),
                environment: own.environment.to_owned(),
            }))
        };
        Box::new(make)
    }
}
