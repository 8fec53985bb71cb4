//! What a run calls itself.

use crate::scope::Scope;

/// Names the transaction of each later event of the run that this is called in, a panic's
/// included.
///
/// For a router that does not tell its route: an event then says `GET /lists/:name` where it
/// would say `main.fetch`. The tags `class` and `handler` stay. At most 200 bytes of the name
/// are sent. Outside of a wrapped handler, and without a `SENTRY_DSN`, it does nothing.
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
