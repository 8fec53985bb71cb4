//! Where the Workflows binding meets the rest of the crate.

use std::future::Future;
use std::rc::Rc;

use worker::Env;
use worker::wasm_bindgen::JsValue;

use crate::item::place::{Handler, Place};
use crate::panics;
use crate::platform::workerd::Workerd;
use crate::scope::Scope;
use crate::steps::guard;
use crate::steps::slot::shared;
use crate::{Report, capture_exception_in_isolate};

/// Runs a Workflow's `run`, so that its panics are reported. Its errors are the
/// application's to report.
pub(super) async fn watched<F: Future>(env: &Env, class: &'static str, body: F) -> F::Output {
    if !guard::is_configured(&Workerd::new(env), shared()) {
        return body.await;
    }
    panics::arm(env);
    let scope = Scope::new(Place::new(class, Handler::Run));
    let outcome = scope.run(body).await;
    for draft in scope.take_panics() {
        crate::steps::finish(&Workerd::new(env), shared(), draft).await;
    }
    if scope.has_errands() {
        Rc::clone(&scope).finish().await;
    }
    match outcome {
        Ok(returned) => returned,
        Err(payload) => std::panic::resume_unwind(payload),
    }
}

/// Reports what fails outside of the application's `run`, where the application
/// has no catch: an input or an output that is not of its type.
pub(super) async fn report(env: &Env, class: &'static str, error: worker::Error) -> JsValue {
    let report = Report::new(&error)
        .in_handler(class, Handler::Run)
        .handled(false);
    capture_exception_in_isolate(env, report).await;
    error.into()
}
