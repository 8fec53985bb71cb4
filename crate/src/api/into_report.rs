//! Turns each type that can be reported into a [`Report`], for captures and for wrappers.

use std::any::type_name;
use std::error::Error;

use worker::wasm_bindgen::JsValue;

use super::report::Report;
use crate::item::exception::Subject;

/// A value that can be reported. A capture takes a reference to it; a wrapper takes it as the
/// error that a handler returns.
///
/// | what | as |
/// | --- | --- |
/// | an [`Error`], also `worker::Error` | `&error` |
/// | `Box<dyn Error>`, with or without `Send` and `Sync` | `&boxed` or `&*boxed` |
/// | `anyhow::Error`, with the feature `anyhow` | `&error` |
/// | what JavaScript threw, a `JsValue` | `&thrown` |
/// | a text that stands for an error | `&string` or `"text"` |
/// | any of them with more about it | a [`Report`] |
///
/// The compiler infers `Kind`, which distinguishes the rows. Other types cannot implement this
/// trait.
///
/// ```no_run
/// use worker::Env;
/// use worker_sentry::capture_exception_in_isolate;
///
/// async fn note(env: &Env, boxed: Box<dyn std::error::Error + Send + Sync>, text: String) {
///     capture_exception_in_isolate(env, &boxed).await;
///     capture_exception_in_isolate(env, &text).await;
/// }
/// ```
pub trait IntoReport<'e, Kind>: sealed::Sealed<Kind> {
    /// Makes the report of this value.
    fn into_report(self) -> Report<'e>;
}

mod sealed {
    pub trait Sealed<Kind> {}
}

/// The rows of the table above, as types. Not an API.
#[doc(hidden)]
pub mod kind {
    pub enum Error {}
    pub enum Dyn {}
    pub enum DynSend {}
    pub enum DynSendSync {}
    pub enum Boxed {}
    pub enum BoxedSend {}
    pub enum BoxedSendSync {}
    pub enum Anyhow {}
    pub enum Thrown {}
    pub enum Text {}
    pub enum Str {}
    pub enum Report {}
}

impl<E: Error + 'static> sealed::Sealed<kind::Error> for &E {}
impl<'e, E: Error + 'static> IntoReport<'e, kind::Error> for &'e E {
    fn into_report(self) -> Report<'e> {
        Report::of_error(self, Some(type_name::<E>()))
    }
}

macro_rules! into_report {
    ($($kind:ident: $ty:ty, |$it:ident| $report:expr;)*) => {$(
        impl sealed::Sealed<kind::$kind> for &$ty {}
        impl<'e> IntoReport<'e, kind::$kind> for &'e $ty {
            fn into_report(self) -> Report<'e> {
                let $it = self;
                $report
            }
        }
    )*};
}

into_report! {
    Dyn: (dyn Error + 'static), |error| Report::of_error(error, None);
    DynSend: (dyn Error + Send + 'static), |error| Report::of_error(error, None);
    DynSendSync: (dyn Error + Send + Sync + 'static), |error| Report::of_error(error, None);
    Boxed: Box<dyn Error>, |error| Report::of_error(&**error, None);
    BoxedSend: Box<dyn Error + Send>, |error| Report::of_error(&**error, None);
    BoxedSendSync: Box<dyn Error + Send + Sync>, |error| Report::of_error(&**error, None);
    Thrown: JsValue, |thrown| Report::of(Subject::Value(thrown));
    Text: String, |text| Report::of(Subject::Text(text));
    Str: str, |text| Report::of(Subject::Text(text));
}

#[cfg(feature = "anyhow")]
into_report! {
    Anyhow: anyhow::Error, |error| Report::of_error(error.as_ref(), None);
}

impl sealed::Sealed<kind::Report> for Report<'_> {}
impl<'e> IntoReport<'e, kind::Report> for Report<'e> {
    fn into_report(self) -> Report<'e> {
        self
    }
}
