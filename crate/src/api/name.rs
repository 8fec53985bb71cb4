//! The name of a run's transaction.

use crate::scope::Scope;

/// Sets the transaction name of each later event of the current run, also that of a panic.
///
/// For a router that does not expose its route: an event then has the name `GET /lists/:name`
/// instead of `main.fetch`. The tags `class` and `handler` do not change. At most 200 bytes of
/// the name are sent. Outside of a wrapped handler or without a `SENTRY_DSN`, this does nothing.
///
/// ```no_run
/// use worker::{Env, Request, Response, Result, Router};
/// use worker_sentry::set_transaction;
///
/// async fn route(request: Request, env: Env) -> Result<Response> {
///     Router::new()
///         .get_async("/lists/:name", |_, context| async move {
///             set_transaction("GET /lists/:name");
///             Response::ok(context.var("LISTS")?.to_string())
///         })
///         .run(request, env)
///         .await
/// }
/// ```
pub fn set_transaction(name: impl Into<String>) {
    if let Some(scope) = Scope::current() {
        scope.set_name(name.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item::draft::Draft;
    use crate::item::place::{Handler, Place};

    #[test]
    fn a_run_is_named_from_within_and_nothing_is_named_outside_of_one() {
        let scope = Scope::new(Place::new("main", Handler::Fetch));
        scope.enter(|| set_transaction("GET /lists/:name"));
        set_transaction("nobody's");
        let mut draft = Draft::of_panic("no", None, Place::default());
        scope.complete(&mut draft, None);
        let named = draft.details.transaction;
        assert_eq!(named.as_deref(), Some("GET /lists/:name"));
    }
}
