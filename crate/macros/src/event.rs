//! A function of the main Worker, below or above `#[event(…)]`.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Attribute, Error, Ident, ItemFn, Meta, Result, ReturnType, Token, parse_quote};

use crate::body;
use crate::options::Options;

/// The events that a function can be called for.
const EVENTS: [&str; 6] = ["fetch", "queue", "scheduled", "email", "connect", "start"];

pub(crate) fn expand(options: Options, mut function: ItemFn) -> Result<TokenStream> {
    only_for_classes(&options)?;
    let root = options.root();
    let event = event(&options, &function)?;
    let span = event.span();
    if event == "start" {
        return Err(Error::new(
            span,
            "`start` is given no `env`, so there is no DSN to report with: take \
             `#[with_sentry]` off this function",
        ));
    }
    body::must_be_async(&function.sig)?;
    let arguments = body::typed(&mut function.sig).count();
    if arguments != 3 {
        let message = format!("`{event}` is given three arguments, and this takes {arguments}");
        return Err(Error::new_spanned(&function.sig.ident, message));
    }
    let mut arguments = body::typed(&mut function.sig);
    let (request, env, context) = (arguments.next(), arguments.next(), arguments.next());
    let request = match (request, event == "fetch") {
        (Some(request), true) => body::name_of(request, "request").ok(),
        _ => None,
    };
    let (Some(env), Some(context)) = (env, context) else {
        return Err(Error::new(span, "this event is given three arguments"));
    };
    let env = body::name_of(env, "env")?;
    let context = body::name_of(context, "context")?;
    drop(arguments);

    let block = &function.block;
    let opening = body::opening(&root, request.as_ref());
    let handler = {
        let variant = capitalised(&event);
        quote!(#root::Handler::#variant)
    };
    let is_scheduled = event == "scheduled";
    // If the body may move `env`, the wrapper gets a clone.
    let (keep_env, the_env) = match body::may_take(block, &env) {
        true => (
            quote!(let __with_sentry = ::core::clone::Clone::clone(&#env);),
            quote!(&__with_sentry),
        ),
        false => (TokenStream::new(), quote!(&#env)),
    };
    // The context of a cron trigger cannot be cloned.
    let (keep_context, the_context) = match !is_scheduled && body::may_take(block, &context) {
        true => (
            quote!(let __with_sentry_context = #root::__private::context(&#context);),
            quote!(&__with_sentry_context),
        ),
        false => (TokenStream::new(), quote!(&#context)),
    };
    let output = function.sig.output.clone();
    let future = match (&output, is_scheduled) {
        // The function returns nothing, so only its panics can be reported.
        (ReturnType::Default, _) => {
            let future = body::future(&root, &output, block, &opening);
            quote!(async {
                #future.await;
                ::core::result::Result::Ok::<(), ::core::convert::Infallible>(())
            })
        }
        _ => body::future(&root, &output, block, &opening),
    };
    let returned = Span::call_site().located_at(output.span());
    let wrapped = quote_spanned! {returned=>
        #root::with_sentry_worker(#the_env, #the_context, #handler, #future).await
    };
    let ended = match (&output, is_scheduled) {
        (ReturnType::Default, _) => quote!(let _ = #wrapped;),
        // The runtime takes no result from this handler, so its error is written to the console.
        (_, true) => {
            function.sig.output = ReturnType::Default;
            quote! {
                if let ::core::result::Result::Err(error) = #wrapped {
                    #root::__private::console_error(&error);
                }
            }
        }
        _ => wrapped,
    };
    function.block = parse_quote!({
        #keep_env
        #keep_context
        #ended
    });
    Ok(quote!(#function))
}

fn only_for_classes(options: &Options) -> Result<()> {
    let wrong = |span| {
        Err(Error::new(
            span,
            "this is an option for a class; a function of the main Worker has none but `crate`",
        ))
    };
    if let Some(class) = &options.class {
        return wrong(class.span());
    }
    if let Some(expression) = options.env.as_ref().or(options.state.as_ref()) {
        return Err(Error::new_spanned(
            expression,
            "a function of the main Worker is given its `env` and its context as arguments",
        ));
    }
    match options.skip.first().or(options.background.first()) {
        Some(name) => wrong(name.span()),
        None => Ok(()),
    }
}

/// The event that a function is called for. It is named by the attribute, or by `#[event(…)]`
/// below the attribute, or by the name that `#[event(…)]` above the attribute has given the
/// function.
fn event(options: &Options, function: &ItemFn) -> Result<Ident> {
    if let Some(handler) = &options.handler {
        return match EVENTS.iter().any(|event| handler == event) {
            true => Ok(handler.clone()),
            false => Err(Error::new(
                handler.span(),
                format!("`{handler}` is not an event of a Worker"),
            )),
        };
    }
    let below = function.attrs.iter().find_map(named);
    let renamed = || {
        let name = function.sig.ident.to_string();
        let name = name.strip_suffix("_glue")?;
        let event = EVENTS.iter().find(|event| name.ends_with(*event))?;
        Some(Ident::new(event, Span::call_site()))
    };
    below.or_else(renamed).ok_or_else(|| {
        Error::new_spanned(
            &function.sig.ident,
            "`#[with_sentry]` wraps a function with `#[event(…)]`, and there is none here; for a \
             handler of another kind use `with_sentry_worker` or `with_sentry_in_isolate`",
        )
    })
}

/// The event that an attribute `#[event(…)]` names.
fn named(attribute: &Attribute) -> Option<Ident> {
    let Meta::List(list) = &attribute.meta else {
        return None;
    };
    if list.path.segments.last()?.ident != "event" {
        return None;
    }
    let words = Punctuated::<Ident, Token![,]>::parse_terminated;
    let words = list.parse_args_with(words).ok()?;
    words
        .into_iter()
        .find(|word| EVENTS.iter().any(|event| word == event))
}

fn capitalised(event: &Ident) -> Ident {
    let name = event.to_string();
    let (first, rest) = name.split_at(1);
    Ident::new(&(first.to_uppercase() + rest), Span::call_site())
}
