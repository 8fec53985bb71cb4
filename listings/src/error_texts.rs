//! What a reader of Sentry sees first of an error: its text, and below it the text of its source.

use std::error::Error;

use crate::compilation::UnreadableCompilation;
use crate::compilation_coordinator::CoordinatorError;
use crate::filter_list::Reason;
use crate::intake::IntakeError;
use crate::lists::ListError;
use crate::periodic::PeriodicError;
use crate::rate_limit::Window;
use crate::rate_limiter_do::SweepError;
use crate::routes::RouteError;
use crate::schedule::UnreadableSchedule;

/// The texts of an error and of all its sources.
fn texts(error: &dyn Error) -> Vec<String> {
    let mut texts = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        texts.push(error.to_string());
        next = error.source();
    }
    texts
}

fn platform() -> worker::Error {
    worker::Error::RustError("the platform".to_owned())
}

fn json() -> serde_json::Error {
    serde_json::from_str::<u8>("?").unwrap_err()
}

#[test]
fn an_error_says_what_failed_and_its_source_says_why() {
    let why = platform().to_string();
    let cron = || "0 * * * *".to_owned();
    let errors: [(Box<dyn Error>, &str); 6] = [
        (
            Box::new(SweepError::from(platform())),
            "the storage of the rate limiter failed",
        ),
        (
            Box::new(CoordinatorError::from(platform())),
            "the coordinator could not use a binding",
        ),
        (
            Box::new(IntakeError::from(platform())),
            "a batch of messages could not be taken in",
        ),
        (
            Box::new(RouteError::from(platform())),
            "a request could not be served",
        ),
        (
            Box::new(PeriodicError::Platform {
                cron: cron(),
                source: platform(),
            }),
            "the jobs of cron trigger `0 * * * *` could not be started",
        ),
        (
            Box::new(ListError::Store {
                name: "ads".to_owned(),
                source: platform(),
            }),
            "the store of list `ads` failed",
        ),
    ];
    for (error, text) in errors {
        assert_eq!(texts(&*error), [text, &why]);
    }
    let why = json().to_string();
    let errors: [(Box<dyn Error>, &str); 3] = [
        (
            Box::new(CoordinatorError::from(json())),
            "the coordinator was sent something that is not JSON",
        ),
        (
            Box::new(UnreadableCompilation {
                key: "compilation:ads".to_owned(),
                source: json(),
            }),
            "the compilation stored under `compilation:ads` cannot be read",
        ),
        (
            Box::new(UnreadableSchedule {
                cron: cron(),
                source: json(),
            }),
            "the schedule stored for cron trigger `0 * * * *` cannot be read",
        ),
    ];
    for (error, text) in errors {
        assert_eq!(texts(&*error), [text, &why]);
    }
}

#[test]
fn an_error_that_only_passes_on_another_has_its_text() {
    let window = || Window::from_stored("a", "?").unwrap_err();
    let said = texts(&window());
    assert_eq!(said[0], "the window of client `a` cannot be read");
    assert_eq!(texts(&SweepError::from(window())), said);
}

#[test]
fn messages_that_are_no_requests_are_counted_and_each_is_explained() {
    let error = IntakeError::UnusableMessages {
        total: 3,
        reasons: vec!["no name".to_owned(), "no sources".to_owned()],
    };
    assert_eq!(
        error.to_string(),
        "2 of 3 messages are no compile requests: no name; no sources"
    );
}

#[test]
fn each_reason_why_a_line_is_no_rule_has_its_text() {
    for (reason, text) in [
        (Reason::Space, "a network rule has no spaces"),
        (
            Reason::MatchesEverything,
            "the rule would match every request",
        ),
        (Reason::UnknownOption, "unknown option"),
        (Reason::NotADomain, "not a domain"),
        (Reason::NoSelector, "the selector is empty"),
        (Reason::Unsupported, "syntax of one product only"),
        (Reason::TooLong, "the line is too long"),
        (Reason::NotARule, "not a rule"),
        (Reason::NotText, "the line is not text"),
    ] {
        assert_eq!(reason.to_string(), text);
    }
}

#[test]
fn the_runtime_gets_the_platforms_own_error_and_the_text_of_any_other() {
    let why = platform().to_string();
    let spoiled = || Window::from_stored("a", "?").unwrap_err();
    let own = spoiled().to_string();
    for (error, text) in [
        (worker::Error::from(SweepError::from(platform())), &why),
        (worker::Error::from(SweepError::from(spoiled())), &own),
        (
            worker::Error::from(CoordinatorError::from(platform())),
            &why,
        ),
        (worker::Error::from(RouteError::from(platform())), &why),
    ] {
        assert_eq!(error.to_string(), *text);
    }
    let unreadable = worker::Error::from(CoordinatorError::from(json()));
    let text = "the coordinator was sent something that is not JSON";
    assert_eq!(unreadable.to_string(), text);
}
