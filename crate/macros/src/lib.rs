//! The attribute of `worker-sentry`. That crate re-exports it; depend on `worker-sentry`.
//!
//! | file | what is decided there |
//! | --- | --- |
//! | `options` | the options of the attribute |
//! | `class` | an `impl` of a Durable Object or a Workflow |
//! | `event` | a function of the main Worker |
//! | `fields` | in which fields a constructor keeps its arguments |
//! | `body` | how a handler's body becomes the future that a wrapper takes |

mod body;
mod class;
mod event;
mod fields;
mod options;

use proc_macro2::TokenStream;
use syn::{Error, Item, Result};

/// Wraps every handler of a Durable Object, of a Workflow or of the main Worker.
///
/// The documentation, with tested examples, is in `worker-sentry`:
/// <https://docs.rs/worker-sentry/latest/worker_sentry/attr.with_sentry.html>
#[proc_macro_attribute]
pub fn with_sentry(
    options: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    let item = TokenStream::from(item);
    match expand(options.into(), item.clone()) {
        Ok(expanded) => expanded,
        // The item is kept unchanged, so that the compiler still reports its other errors.
        Err(error) => {
            let error = error.into_compile_error();
            quote::quote!(#error #item)
        }
    }
    .into()
}

fn expand(options: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let options = syn::parse2(options)?;
    match syn::parse2(item)? {
        Item::Impl(class) => class::expand(options, class),
        Item::Fn(function) => event::expand(options, function),
        other => Err(Error::new_spanned(
            other,
            "`#[with_sentry]` goes on `impl DurableObject for …`, on `impl WorkflowEntrypoint \
             for …`, or on a function with `#[event(…)]`",
        )),
    }
}
