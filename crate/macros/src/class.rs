//! An `impl` of a Durable Object or of a Workflow.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{
    Error, Expr, Ident, ImplItem, ImplItemFn, ItemImpl, LitStr, Member, Path, Result, ReturnType,
    Type, parse_quote, parse_quote_spanned,
};

use crate::body;
use crate::fields;
use crate::options::Options;

/// The traits whose methods the runtime calls.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Object,
    Workflow,
}

impl Kind {
    fn of(class: &ItemImpl) -> Result<Self> {
        let wrong = "`#[with_sentry]` goes on `impl DurableObject for …` or on `impl \
                     WorkflowEntrypoint for …`";
        let Some((path, _)) = &class.trait_ else {
            return Err(Error::new_spanned(&class.self_ty, wrong));
        };
        let last = path.segments.last().map(|last| last.ident.to_string());
        match last.as_deref() {
            Some("DurableObject") => Ok(Kind::Object),
            Some("WorkflowEntrypoint") => Ok(Kind::Workflow),
            _ => Err(Error::new_spanned(path, wrong)),
        }
    }

    /// The names of the constructor's two arguments, in their order.
    fn constructor(self) -> [&'static str; 2] {
        match self {
            Kind::Object => ["state", "env"],
            Kind::Workflow => ["context", "env"],
        }
    }
}

pub(crate) fn expand(options: Options, mut class: ItemImpl) -> Result<TokenStream> {
    let kind = Kind::of(&class)?;
    if let Some(handler) = &options.handler {
        return Err(Error::new(
            handler.span(),
            "the handlers of a class are known by their names",
        ));
    }
    let ident = ident_of(&class.self_ty)?;
    check_names(&options, &class)?;
    let root = options.root();
    let name = options
        .class
        .clone()
        .unwrap_or_else(|| LitStr::new(&ident.to_string(), ident.span()));
    let kept = Kept::find(&options, &mut class, kind, &ident)?;
    let wrapping = Wrapping {
        options: &options,
        root: &root,
        name: &name,
        kept: &kept,
        kind,
    };
    for item in &mut class.items {
        match item {
            ImplItem::Fn(method) if options.skip.contains(&method.sig.ident) => {}
            ImplItem::Fn(method) if method.sig.ident == "new" => wrapping.constructor(method)?,
            ImplItem::Fn(method) => wrapping.handler(method)?,
            ImplItem::Macro(handlers) => {
                return Err(Error::new_spanned(
                    &handlers.mac.path,
                    "`#[with_sentry]` cannot see what handlers this macro makes: write them out",
                ));
            }
            _ => {}
        }
    }
    Ok(quote!(#class))
}

/// The name of the type that the `impl` is for.
fn ident_of(ty: &Type) -> Result<Ident> {
    match ty {
        Type::Path(path) => path.path.segments.last().map(|last| last.ident.clone()),
        _ => None,
    }
    .ok_or_else(|| Error::new_spanned(ty, "`#[with_sentry]` takes the class's name from here"))
}

/// Checks that each name in a list is that of a handler.
fn check_names(options: &Options, class: &ItemImpl) -> Result<()> {
    let is_handler = |name: &Ident| {
        class
            .items
            .iter()
            .any(|item| matches!(item, ImplItem::Fn(method) if method.sig.ident == *name))
    };
    for name in options.skip.iter().chain(&options.background) {
        if !is_handler(name) {
            let message = format!("there is no handler `{name}` in this `impl`");
            return Err(Error::new(name.span(), message));
        }
    }
    match options.background.iter().find(|name| *name == "new") {
        Some(new) => Err(Error::new(
            new.span(),
            "a constructor has no error to return",
        )),
        None => Ok(()),
    }
}

/// The fields in which an object keeps the arguments of its constructor.
struct Kept {
    env: Expr,
    state: Expr,
}

impl Kept {
    fn find(options: &Options, class: &mut ItemImpl, kind: Kind, ident: &Ident) -> Result<Self> {
        let mut kept = Kept {
            env: parse_quote!(self.env),
            state: parse_quote!(self.state),
        };
        let constructor = class.items.iter_mut().find_map(|item| match item {
            ImplItem::Fn(method) if method.sig.ident == "new" => Some(method),
            _ => None,
        });
        if let Some(new) = constructor {
            let [first, second] = kind.constructor();
            let mut arguments = body::typed(&mut new.sig);
            let state = arguments.next().map(|it| body::name_of(it, first));
            let env = arguments.next();
            let is_unnamed = |it: &syn::FnArg| matches!(it, syn::FnArg::Typed(it) if matches!(*it.pat, syn::Pat::Wild(_)));
            let was_unnamed = env.as_deref().is_some_and(is_unnamed);
            let span = env.as_ref().map_or(Span::call_site(), |it| it.span());
            let env = env.map(|it| body::name_of(it, second));
            let (state, env) = (state.transpose()?, env.transpose()?);
            drop(arguments);
            if let Some(env) = env {
                let statements = &new.block.stmts;
                let is_used =
                    !was_unnamed && body::mentions(quote!(#(#statements)*), &env.to_string());
                if !is_used && options.env.is_none() {
                    return Err(Error::new(
                        span,
                        "`#[with_sentry]` reads the DSN from `env` in each handler, and this \
                         constructor drops it: keep it in a field, `env`, or say where else it \
                         is: `#[with_sentry(env = self.environment)]`",
                    ));
                }
                kept.env = field(new, ident, &env, &Member::Named(Ident::new("env", span)));
            }
            if let Some(state) = state {
                let fallback = Member::Named(Ident::new("state", state.span()));
                kept.state = field(new, ident, &state, &fallback);
            }
        }
        if let Some(env) = &options.env {
            kept.env = env.clone();
        }
        if let Some(state) = &options.state {
            kept.state = state.clone();
        }
        Ok(kept)
    }
}

/// `self` and the field in which the constructor keeps an argument. If the constructor does not
/// show the field, its conventional name is used.
fn field(new: &ImplItemFn, class: &Ident, argument: &Ident, fallback: &Member) -> Expr {
    let found = fields::keeping(&new.block, class, argument);
    let member = found.as_ref().unwrap_or(fallback);
    // The field's name comes from the constructor, so an error about it points there.
    let span = member.span();
    parse_quote_spanned!(span=> self.#member)
}

struct Wrapping<'a> {
    options: &'a Options,
    root: &'a Path,
    name: &'a LitStr,
    kept: &'a Kept,
    kind: Kind,
}

impl Wrapping<'_> {
    /// Wraps a constructor. A constructor cannot await, so only its panics can be reported.
    fn constructor(&self, new: &mut ImplItemFn) -> Result<()> {
        let (root, name, block) = (self.root, self.name, &new.block);
        let Some(env) = body::typed(&mut new.sig).nth(1) else {
            return Err(Error::new_spanned(
                &new.sig.ident,
                "a constructor is given two arguments, the second of which is `env`",
            ));
        };
        let env = body::name_of(env, "env")?;
        let statements = &block.stmts;
        let body = body::in_place(block, quote!(#(#statements)*));
        let body = quote_spanned!(body.span()=> move || #body);
        new.block = parse_quote!({
            let __with_sentry = ::core::clone::Clone::clone(&#env);
            #root::with_sentry_in_constructor(&__with_sentry, #name, #body)
        });
        Ok(())
    }

    fn handler(&self, method: &mut ImplItemFn) -> Result<()> {
        body::must_be_async(&method.sig)?;
        if method.sig.receiver().is_none() {
            return Err(Error::new_spanned(
                &method.sig.ident,
                "`#[with_sentry]` finds `env` through `&self`, which this handler does not take",
            ));
        }
        let (root, name) = (self.root, self.name);
        let request = match method.sig.ident == "fetch" {
            true => body::typed(&mut method.sig).next(),
            false => None,
        };
        let request = request.and_then(|it| body::name_of(it, "request").ok());
        let opening = body::opening(root, request.as_ref());
        let future = body::future(root, &method.sig.output, &method.block, &opening);
        let handler = self.handler_name(&method.sig.ident);
        let env = &self.kept.env;
        // An error of the compiler about the error type points to the handler's return type.
        let span = Span::call_site().located_at(method.sig.output.span());
        let wrapped = match self.options.background.contains(&method.sig.ident) {
            true => {
                let state = match self.kind {
                    Kind::Object => &self.kept.state,
                    Kind::Workflow => return Err(self.no_background(&method.sig.ident)),
                };
                quote_spanned! {span=>
                    #root::with_sentry_without_waiting(&#env, &#state, #name, #handler, #future)
                }
            }
            false => quote_spanned! {span=>
                #root::with_sentry_in_isolate(&#env, #name, #handler, #future)
            },
        };
        // The trait's error is `worker::Error`. An error of another type is reported before it
        // is converted.
        let own = match body::result_parts(&method.sig.output) {
            Some((success, Some(_))) => Some(success.clone()),
            _ => None,
        };
        method.block = match &own {
            Some(_) => parse_quote_spanned!(span=> {
                ::core::result::Result::map_err(#wrapped.await, ::core::convert::Into::into)
            }),
            None => parse_quote!({ #wrapped.await }),
        };
        if let Some(success) = own {
            let arrow = syn::token::RArrow::default();
            let output = parse_quote!(#root::__private::Result<#success>);
            method.sig.output = ReturnType::Type(arrow, output);
        }
        Ok(())
    }

    fn no_background(&self, name: &Ident) -> Error {
        let at = self.options.background.iter().find(|it| *it == name);
        Error::new(
            at.unwrap_or(name).span(),
            "a Workflow has no `wait_until`, so its reports are awaited",
        )
    }

    fn handler_name(&self, method: &Ident) -> TokenStream {
        let root = self.root;
        let variant = match method.to_string().as_str() {
            "fetch" => "Fetch",
            "alarm" => "Alarm",
            "connect" => "Connect",
            "websocket_message" => "WebsocketMessage",
            "websocket_close" => "WebsocketClose",
            "websocket_error" => "WebsocketError",
            "run" => "Run",
            // A handler of a later version of the trait is wrapped as well.
            name => {
                return quote!(#root::Handler::Rpc(::std::borrow::Cow::Borrowed(#name)));
            }
        };
        let variant = Ident::new(variant, Span::call_site());
        quote!(#root::Handler::#variant)
    }
}
