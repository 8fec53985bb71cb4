//! Reporting from anywhere below a wrapped handler, with no `env` at hand.
//!
//! The run is found by its scope: a scope is current while the code of its run is polled.
//! `env` is the one that the first wrapped handler of the isolate stored.

use std::cell::Cell;
use std::rc::Rc;

use sentry_core::protocol::{Level, Map, User, Value};
use worker::{Env, Fetch, Method, Request, Response, Result};

use super::capture::{deliver, is_too_many, read};
use super::into_report::IntoReport;
use crate::item::breadcrumb::Breadcrumb;
use crate::item::draft::{Draft, word};
use crate::item::request;
use crate::panics;
use crate::platform::Runtime;
use crate::platform::workerd::Workerd;
use crate::scope::Scope;
use crate::scope::data::Change;

/// Reports an error from anywhere below a wrapped handler.
///
/// Returns at once. The report is delivered while the run goes on, and the wrapper around the
/// run waits for reports that are still on their way, five seconds at most. If the handler
/// returns the same error later, the error is not reported again. Takes whatever
/// [`IntoReport`] lists.
///
/// Does nothing outside of a wrapped handler, without a `SENTRY_DSN`, and inside the function
/// given to [`set_before_send`](crate::set_before_send). With a `SENTRY_DSN` and `SENTRY_DEBUG`
/// on, the console says so once. One run sends at most 25 captures and messages. Further ones
/// are dropped, and the console says so.
///
/// ```no_run
/// use worker_sentry::capture_error;
///
/// fn read_rules(text: &str) -> usize {
///     text.trim().parse().unwrap_or_else(|error| {
///         capture_error(&error);
///         0
///     })
/// }
/// ```
pub fn capture_error<'e, Kind>(error: impl IntoReport<'e, Kind>) {
    in_run(|env, runtime, scope| {
        panics::arm(env);
        if let Some(draft) = read(runtime, error.into_report()) {
            scope.send(deliver(env, draft));
        }
    });
}

/// Reports a text that is not an error, from anywhere below a wrapped handler.
///
/// Waits, fails and does nothing as [`capture_error`] does.
///
/// ```no_run
/// use worker_sentry::capture_message;
/// use worker_sentry::protocol::Level;
///
/// fn fall_back() {
///     capture_message("the mirror answered in place of the list's host", Level::Warning);
/// }
/// ```
pub fn capture_message(text: &str, level: Level) {
    in_run(|env, runtime, scope| {
        if let Some(draft) = message(runtime, scope, text, level) {
            scope.send(deliver(env, draft));
        }
    });
}

/// Adds a breadcrumb to the current run. Each later event of this run, also that of a panic,
/// shows the run's breadcrumbs. Events of other runs do not.
///
/// The last hundred breadcrumbs are kept. Returns at once. Outside of a wrapped handler or
/// without a `SENTRY_DSN`, this does nothing.
///
/// ```no_run
/// use worker_sentry::{Breadcrumb, add_breadcrumb};
///
/// fn parsed(rules: usize) {
///     add_breadcrumb("the list was parsed");
///     add_breadcrumb(Breadcrumb::new("stored").category("compile").data("rules", rules));
/// }
/// ```
pub fn add_breadcrumb(breadcrumb: impl Into<Breadcrumb>) {
    // `into` is code of the application, so it runs before anything is borrowed.
    let breadcrumb = breadcrumb.into();
    in_run(|_, runtime, scope| scope.leave_breadcrumb(breadcrumb, runtime.now_ms()));
}

/// Sends a request as [`Fetch::send`] does, and adds a breadcrumb with the method, the URL
/// without the parts that may be secret, and the status. [`Breadcrumb::fetch`] has the details.
///
/// Waits and fails as `send` does. Outside of a wrapped handler or without a `SENTRY_DSN`, it
/// only sends the request.
///
/// ```no_run
/// use worker::{Fetch, Result};
/// use worker_sentry::fetch_with_breadcrumb;
///
/// async fn list(url: &str) -> Result<String> {
///     let request = Fetch::Url(url.parse()?);
///     fetch_with_breadcrumb(request).await?.text().await
/// }
/// ```
pub async fn fetch_with_breadcrumb(request: Fetch) -> Result<Response> {
    // The request is read only if there is a scope to keep the breadcrumb.
    let told = Scope::of_the_application().map(|_| match &request {
        Fetch::Url(url) => (Method::Get, url.to_string()),
        Fetch::Request(request) => {
            let url = request.inner().url();
            (request.method(), url)
        }
    });
    let answer = request.send().await;
    if let Some((method, url)) = told {
        let status = answer.as_ref().ok().map(Response::status_code);
        add_breadcrumb(Breadcrumb::fetch(method.as_ref(), &url, status));
    }
    answer
}

/// Adds tags, a user, contexts and other data to the current run. Each later event of this
/// run, also that of a panic, carries them. Events of other runs do not.
///
/// Data of a [`Report`](crate::Report) wins over data of the run. A wrapper inside another
/// wrapper, a Workflow's step, and work given to
/// [`with_sentry_in_background`](crate::with_sentry_in_background) or
/// [`with_sentry_in_stream`](crate::with_sentry_in_stream) share the data of the outer run.
/// Returns at once. Outside of a wrapped handler or without a `SENTRY_DSN`, `say` is not
/// called.
///
/// ```no_run
/// use worker_sentry::configure_scope;
/// use worker_sentry::protocol::User;
///
/// fn signed_in(account: &str) {
///     configure_scope(|scope| {
///         scope.set_user(Some(User {
///             id: Some(account.to_owned()),
///             ..User::default()
///         }));
///         scope.set_tag("plan", "free");
///     });
/// }
/// ```
pub fn configure_scope(say: impl FnOnce(&mut ScopeData)) {
    in_run(|_, _, scope| configure(scope, say));
}

/// Runs `say` before the scope is borrowed, because `say` may panic and may call any function
/// of this crate.
fn configure(scope: &Scope, say: impl FnOnce(&mut ScopeData)) {
    let mut said = ScopeData {
        changes: Vec::new(),
    };
    say(&mut said);
    scope.say(said.changes);
}

/// The data of a run, as [`configure_scope`] changes it. The changes take effect when the
/// closure has returned.
///
/// Sizes are limited: a tag's value to 200 characters; a user, a context and a value of
/// `extra` to 8 KB each. Beyond 100 tags, 32 contexts or 32 values of `extra`, a new one is
/// dropped.
#[derive(Debug)]
pub struct ScopeData {
    changes: Vec<Change>,
}

impl ScopeData {
    /// Sets a tag. Events can be searched by tags. A blank value is dropped.
    pub fn set_tag(&mut self, key: impl Into<String>, value: impl std::fmt::Display) {
        self.change(Change::Tag(key.into(), Some(value.to_string())));
    }

    /// Removes a tag.
    pub fn remove_tag(&mut self, key: impl Into<String>) {
        self.change(Change::Tag(key.into(), None));
    }

    /// Sets the user whom the run works for; `None` removes the user. Only the given fields are
    /// sent.
    pub fn set_user(&mut self, user: Option<User>) {
        self.change(Change::User(user.map(fields)));
    }

    /// Sets a named group of values, shown with the event but not searchable.
    pub fn set_context(&mut self, name: impl Into<String>, values: Map<String, Value>) {
        self.change(Change::Context(name.into(), Some(values)));
    }

    /// Removes a named group of values.
    pub fn remove_context(&mut self, name: impl Into<String>) {
        self.change(Change::Context(name.into(), None));
    }

    /// Sets the context `request`: the request's method, the route as you name it, and the
    /// headers that you name.
    ///
    /// Without this call, events carry no data of the request. Cloudflare's logs find a request
    /// by the header `cf-ray`. A header whose name looks like that of a secret
    /// (`authorization`, `cookie`, a key, a token, a signature and so on) is not sent, even if
    /// you name it. A URL in a header loses its query.
    ///
    /// ```no_run
    /// use worker::Request;
    /// use worker_sentry::configure_scope;
    ///
    /// fn received(request: &Request) {
    ///     configure_scope(|scope| scope.set_request(request, "/lists/:id", &["cf-ray"]));
    /// }
    /// ```
    pub fn set_request(&mut self, request: &Request, route: &str, headers: &[&str]) {
        let value_of = |header: &str| request.headers().get(header).ok().flatten();
        let fields = request::fields(request.method().as_ref(), route, headers, value_of);
        self.set_context(request::CONTEXT, fields);
    }

    /// Sets a value that is shown under `extra`. Sentry recommends contexts instead.
    pub fn set_extra(&mut self, key: impl Into<String>, value: impl Into<Value>) {
        self.change(Change::Extra(key.into(), Some(value.into())));
    }

    /// Removes a value of `extra`.
    pub fn remove_extra(&mut self, key: impl Into<String>) {
        self.change(Change::Extra(key.into(), None));
    }

    /// Groups events by these parts instead of by their type and stack. An empty list restores
    /// the usual grouping.
    pub fn set_fingerprint<P: Into<String>>(&mut self, parts: impl IntoIterator<Item = P>) {
        let parts = parts.into_iter().map(Into::into).collect();
        self.change(Change::Fingerprint(parts));
    }

    /// Sets the level of events that have none of their own; `None` removes it. A panic and a
    /// message always have their own level.
    pub fn set_level(&mut self, level: Option<Level>) {
        self.change(Change::Level(level.map(word)));
    }

    /// Removes all data of the run, and its breadcrumbs.
    pub fn clear(&mut self) {
        self.change(Change::Forget);
    }

    /// Removes the breadcrumbs.
    pub fn clear_breadcrumbs(&mut self) {
        self.change(Change::ForgetBreadcrumbs);
    }

    fn change(&mut self, change: Change) {
        self.changes.push(change);
    }
}

fn fields(user: User) -> Map<String, Value> {
    let mut fields = user.other;
    let address = user.ip_address.map(|address| address.to_string());
    for (name, value) in [
        ("id", user.id),
        ("email", user.email),
        ("username", user.username),
        ("ip_address", address),
    ] {
        if let Some(value) = value {
            fields.insert(name.to_owned(), value.into());
        }
    }
    fields
}

/// Calls `then` with the current run. Outside of a run, the console says so once.
pub(super) fn in_run(then: impl FnOnce(&Env, &Workerd<'static>, &Rc<Scope>)) {
    let Some(env) = panics::env() else {
        return;
    };
    let runtime = Workerd::owned(&env);
    match Scope::of_the_application() {
        Some(scope) => then(&env, &runtime, &scope),
        None => say_once(&runtime),
    }
}

fn say_once(runtime: &impl Runtime) {
    thread_local! {
        static SAID: Cell<bool> = const { Cell::new(false) };
    }
    if !SAID.replace(true) {
        runtime.debug("nothing is kept or reported outside of a wrapped handler");
    }
}

/// The draft of a message. `None` if the run has reached its limit of reports.
fn message(runtime: &impl Runtime, scope: &Scope, text: &str, level: Level) -> Option<Draft> {
    if is_too_many(runtime, scope) {
        return None;
    }
    let mut draft = Draft::of_message(text, word(level));
    scope.complete(&mut draft, None);
    draft.take_stack(runtime);
    Some(draft)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Report;
    use crate::item::place::{Handler, Place};
    use crate::platform::testing::{Fake, block_on, yield_once};
    use serde_json::json;
    use std::future::Future;
    use std::pin::Pin;
    use std::task::{Context, Waker};

    fn place() -> Place {
        Place::new("Object", Handler::Alarm)
    }

    /// Does what [`configure_scope`], [`add_breadcrumb`] and [`capture_message`] do if there
    /// is an `env`.
    fn say(change: impl FnOnce(&mut ScopeData)) {
        configure(&current(), change);
    }

    fn crumb(text: &str) {
        current().leave_breadcrumb(text.to_owned().into(), 1_000.0);
    }

    fn current() -> Rc<Scope> {
        Scope::of_the_application().expect("a run")
    }

    fn captured(report: Report<'_>) -> Value {
        event(read(&Fake::default(), report).expect("not too many"))
    }

    fn messaged() -> Value {
        event(message(&Fake::default(), &current(), "seen", Level::Info).expect("not too many"))
    }

    fn event(draft: Draft) -> Value {
        json!(draft.into_event(uuid::Uuid::from_u128(7), 1_000.0, None, None))
    }

    fn failure() -> std::num::ParseIntError {
        "x".parse::<u8>().expect_err("no number")
    }

    fn in_scope<T>(body: impl Future<Output = T>) -> T {
        block_on(Scope::new(place()).run(body)).expect("no panic")
    }

    /// The texts of an event's breadcrumbs.
    fn trail(event: &Value) -> Vec<&str> {
        let list = event["breadcrumbs"]["values"].as_array();
        let texts = list.into_iter().flatten();
        texts.filter_map(|it| it["message"].as_str()).collect()
    }

    #[test]
    fn what_is_said_of_a_run_is_on_each_later_event_of_it_and_on_no_earlier_one() {
        let (before, after) = in_scope(async {
            let before = messaged();
            say(|scope| {
                scope.set_user(Some(User {
                    id: Some("7".to_owned()),
                    ip_address: Some(std::net::IpAddr::from([1, 2, 3, 4]).into()),
                    other: [("plan".to_owned(), json!("free"))].into(),
                    ..User::default()
                }));
                scope.set_tag("plan of", 1);
                scope.set_context("list", [("lines".to_owned(), json!(12))].into());
                scope.set_extra("key", json!([1, null]));
                scope.set_fingerprint(["a", "b"]);
                scope.set_level(Some(Level::Warning));
            });
            crumb("one");
            yield_once().await;
            crumb("two");
            (before, captured(Report::new(&failure())))
        });
        for name in ["user", "extra", "breadcrumbs", "fingerprint"] {
            assert_eq!(before.get(name), None, "{name}");
        }
        assert_eq!(before["message"], "seen");
        assert_eq!(before["level"], "info");
        assert_eq!(before["transaction"], "Object.alarm");
        assert_eq!(before.get("exception"), None);
        let user = json!({"id": "7", "ip_address": "1.2.3.4", "plan": "free"});
        assert_eq!(after["user"], user);
        assert_eq!(after["tags"]["plan_of"], "1");
        assert_eq!(after["contexts"]["list"]["lines"], 12);
        assert_eq!(after["extra"], json!({"key": [1, null]}));
        assert_eq!(after["fingerprint"], json!(["a", "b"]));
        assert_eq!(after["level"], "warning");
        assert_eq!(trail(&after), ["one", "two"]);
    }

    #[test]
    fn what_was_said_can_be_taken_back() {
        let event = in_scope(async {
            crumb("one");
            say(|scope| {
                scope.set_user(Some(User::default()));
                scope.set_tag("a b", 1);
                scope.set_context("list", Map::new());
                scope.set_extra("key", 1);
                scope.set_fingerprint(["a"]);
                scope.set_level(Some(Level::Fatal));
            });
            say(|scope| {
                scope.set_user(None);
                scope.remove_tag("a b");
                scope.remove_context("list");
                scope.remove_extra("key");
                scope.set_fingerprint([""; 0]);
                scope.set_level(None);
                scope.clear_breadcrumbs();
            });
            let bare = captured(Report::new(&failure()));
            say(|scope| scope.set_tag("a", 1));
            crumb("two");
            say(ScopeData::clear);
            assert_eq!(bare, captured(Report::new(&failure())));
            bare
        });
        assert_eq!(event, in_scope(async { captured(Report::new(&failure())) }));
        assert_eq!(
            event["tags"],
            json!({"class": "Object", "handler": "alarm"})
        );
    }

    #[test]
    fn what_a_report_says_itself_wins_over_what_is_said_of_the_run() {
        let event = in_scope(async {
            say(|scope| {
                scope.set_tag("a.b c", "run");
                scope.set_tag("other", "run");
                scope.set_context("list", [("of".to_owned(), json!("run"))].into());
                scope.set_fingerprint(["run"]);
                scope.set_level(Some(Level::Debug));
            });
            let error = failure();
            captured(
                Report::new(&error)
                    .tag("a.b c", "first")
                    .tag("a.b_c", "own")
                    .context("list", [("own".to_owned(), json!(true))].into())
                    .fingerprint(["own"])
                    .level(Level::Warning),
            )
        });
        assert_eq!(event["tags"]["a.b_c"], "own");
        assert_eq!(event["tags"]["other"], "run");
        assert_eq!(event["contexts"]["list"]["own"], true);
        assert_eq!(event["contexts"]["list"].get("of"), None);
        assert_eq!(event["fingerprint"], json!(["own"]));
        assert_eq!(event["level"], "warning");
    }

    #[test]
    fn a_panic_and_a_message_keep_their_own_level_and_have_the_runs_trail() {
        let (panic, message) = in_scope(async {
            say(|scope| scope.set_level(Some(Level::Debug)));
            crumb("one");
            let mut draft = Draft::of_panic("no", None, Place::default());
            current().complete(&mut draft, None);
            (event(draft), messaged())
        });
        assert_eq!(
            (&panic["level"], &message["level"]),
            (&json!("fatal"), &json!("info"))
        );
        assert_eq!((trail(&panic), trail(&message)), (vec!["one"], vec!["one"]));
    }

    #[test]
    fn the_callers_closure_may_panic_or_call_back_and_nothing_is_half_said() {
        let event = in_scope(async {
            say(|scope| {
                scope.set_tag("outer", 1);
                say(|scope| scope.set_tag("inner", 2));
                crumb("inside");
            });
            let caught = std::panic::catch_unwind(|| {
                say(|scope| {
                    scope.set_tag("lost", 3);
                    std::panic::resume_unwind(Box::new("gone"));
                });
            });
            assert!(caught.is_err());
            messaged()
        });
        let tags = json!({"class": "Object", "handler": "alarm", "outer": "1", "inner": "2"});
        assert_eq!(event["tags"], tags);
        assert_eq!(trail(&event), ["inside"]);
    }

    #[test]
    fn what_a_run_keeps_is_bounded() {
        let event = in_scope(async {
            say(|scope| {
                for at in 0..500 {
                    let big = || json!("x".repeat(10_000));
                    scope.set_tag(format!("t{at}"), "x".repeat(10_000));
                    scope.set_context(format!("c{at}"), [("a".to_owned(), big())].into());
                    scope.set_extra(format!("e{at}"), big());
                }
                let id = Some("x".repeat(100_000));
                scope.set_user(Some(User {
                    id,
                    ..User::default()
                }));
                scope.set_fingerprint(vec!["x".repeat(10_000); 500]);
            });
            for _ in 0..500 {
                crumb(&"x".repeat(10_000));
            }
            messaged()
        });
        assert_eq!(trail(&event).len(), 100);
        assert_eq!(event["extra"].as_object().map(|it| it.len()), Some(32));
        assert!(event.to_string().len() < 400_000);
    }

    #[test]
    fn a_message_has_the_stack_of_its_capture() {
        let event = in_scope(async {
            let fake = Fake::default();
            let stack = "\n at wasm://wasm/0a:wasm-function[7]:0x2a";
            fake.world.stack.replace(Some(stack.to_owned()));
            event(message(&fake, &current(), "seen", Level::Info).expect("not too many"))
        });
        let frames = &event["threads"]["values"][0]["stacktrace"]["frames"];
        assert_eq!(frames[0]["instruction_addr"], "0x2a");
    }

    #[test]
    fn messages_and_errors_of_one_run_are_counted_together() {
        let sent = in_scope(async {
            let fake = Fake::default();
            let error = failure();
            let errors = (0..15).filter(|_| read(&fake, Report::new(&error)).is_some());
            let errors = errors.count();
            let one = || message(&fake, &current(), "seen", Level::Info);
            errors + (0..15).filter(|_| one().is_some()).count()
        });
        assert_eq!(sent, 25);
    }

    type Run = Pin<Box<dyn Future<Output = Vec<Value>>>>;

    /// One run that puts its own number on its events, nested in one of the possible ways.
    /// Each run yields at least twice.
    fn run(kind: usize, who: usize) -> Run {
        let mine = move |what: &str| format!("{what} {who}");
        let tell = move || {
            say(|scope| {
                scope.set_tag("who", who);
                scope.set_extra("who", who);
                scope.set_context("who", [("who".to_owned(), json!(who))].into());
                let id = Some(who.to_string());
                scope.set_user(Some(User {
                    id,
                    ..User::default()
                }));
            });
            crumb(&mine("begin"));
        };
        let end = move || {
            crumb(&mine("end"));
            captured(Report::new(&failure()))
        };
        let outer = Scope::within(None, place());
        match kind {
            0 => Box::pin(async move {
                let body = async {
                    tell();
                    yield_once().await;
                    yield_once().await;
                    vec![end()]
                };
                outer.run(body).await.expect("no panic")
            }),
            // A wrapper inside another one: data set in the inner run is on the outer run's events.
            1 => Box::pin(async move {
                let body = async {
                    let inner = async {
                        tell();
                        yield_once().await;
                    };
                    let inner = Scope::new(Place::new("Inner", Handler::Run))
                        .run(inner)
                        .await;
                    inner.expect("no panic");
                    yield_once().await;
                    vec![end()]
                };
                outer.run(body).await.expect("no panic")
            }),
            // Two branches of one run at once.
            2 => Box::pin(async move {
                let body = async {
                    tell();
                    let branch = || async {
                        yield_once().await;
                        messaged()
                    };
                    let inner = Scope::new(place());
                    let one = inner.run(branch());
                    let (one, two) = futures_util::join!(one, branch());
                    yield_once().await;
                    vec![one.expect("no panic"), two, end()]
                };
                outer.run(body).await.expect("no panic")
            }),
            // Background work that goes on after the run has ended.
            3 => Box::pin(async move {
                let body = async {
                    tell();
                    yield_once().await;
                    Scope::continued()
                };
                let later = outer.run(body).await.expect("no panic");
                yield_once().await;
                let later = later.run(async { vec![end()] }).await;
                later.expect("no panic")
            }),
            // The attempts of a step, the first of which fails.
            4 => Box::pin(async move {
                let body = async {
                    tell();
                    for _ in 0..2 {
                        Scope::new(place())
                            .run(yield_once())
                            .await
                            .expect("no panic");
                    }
                    Scope::new(place())
                        .run(async { vec![end()] })
                        .await
                        .expect("no panic")
                };
                outer.run(body).await.expect("no panic")
            }),
            // A panic.
            _ => Box::pin(async move {
                let body = async {
                    tell();
                    yield_once().await;
                    yield_once().await;
                    crumb(&mine("end"));
                    let mut draft = Draft::of_panic("no", None, Place::default());
                    current().complete(&mut draft, None);
                    current().leave_panic(draft);
                    std::panic::resume_unwind(Box::new("gone"));
                };
                let outcome: Result<(), _> = outer.run(body).await;
                assert!(outcome.is_err());
                outer.take_panics().into_iter().map(event).collect()
            }),
        }
    }

    /// Polls the runs in this order, and then until all are done.
    fn play(kinds: &[usize], order: &[usize]) {
        let mut runs: Vec<Option<Run>> = kinds
            .iter()
            .enumerate()
            .map(|(who, kind)| Some(run(*kind, who)))
            .collect();
        let mut context = Context::from_waker(Waker::noop());
        let rest = (0..10 * runs.len()).map(|at| at % kinds.len());
        for who in order.iter().copied().chain(rest) {
            let Some(run) = &mut runs[who] else {
                continue;
            };
            let std::task::Poll::Ready(events) = run.as_mut().poll(&mut context) else {
                continue;
            };
            runs[who] = None;
            assert!(!events.is_empty());
            for event in events {
                assert_eq!(event["tags"]["who"], who.to_string(), "{kinds:?} {order:?}");
                assert_eq!(event["user"], json!({"id": who.to_string()}));
                assert_eq!(event["extra"]["who"], who);
                assert_eq!(event["contexts"]["who"]["who"], who);
                let trail = trail(&event);
                assert_eq!(trail[0], format!("begin {who}"), "{kinds:?} {order:?}");
                assert!(trail.len() <= 2, "{trail:?}");
                for text in trail {
                    assert!(text.ends_with(&who.to_string()), "{kinds:?} {order:?}");
                }
            }
        }
        assert!(runs.iter().all(Option::is_none), "{kinds:?} {order:?}");
        assert!(Scope::current().is_none());
    }

    /// Calls `each` with every order in which the runs can be polled; `left` has how often each
    /// run is polled.
    fn orders(left: &mut [usize], order: &mut Vec<usize>, each: &mut impl FnMut(&[usize])) {
        if left.iter().all(|left| *left == 0) {
            each(order);
            return;
        }
        for who in 0..left.len() {
            if left[who] > 0 {
                left[who] -= 1;
                order.push(who);
                orders(left, order, each);
                order.pop();
                left[who] += 1;
            }
        }
    }

    #[test]
    fn no_event_has_anything_of_another_run_in_whatever_order_they_are_polled() {
        let mut played = 0;
        for first in 0..6 {
            for second in 0..6 {
                orders(&mut [4, 4], &mut Vec::new(), &mut |order| {
                    play(&[first, second], order);
                    played += 1;
                });
            }
        }
        for kinds in [[0, 1, 2], [3, 4, 5], [5, 0, 3]] {
            orders(&mut [3, 3, 3], &mut Vec::new(), &mut |order| {
                play(&kinds, order);
                played += 1;
            });
        }
        // Seventy orders for each of 36 pairs, and 1,680 for each of three triples.
        assert_eq!(played, 36 * 70 + 3 * 1_680);
    }

    #[test]
    fn outside_of_a_run_nothing_is_kept_and_that_is_said_once() {
        assert!(Scope::of_the_application().is_none());
        let fake = Fake::default();
        say_once(&fake);
        say_once(&fake);
        let lines = fake.world.lines.borrow();
        let line = "debug: nothing is kept or reported outside of a wrapped handler";
        assert_eq!(lines[..], [line]);
    }
}
