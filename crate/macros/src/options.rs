//! The options of the attribute.

use proc_macro2::Span;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Error, Expr, Ident, LitStr, Path, Result, Token, parenthesized};

/// The options of the attribute. Each can be given once.
#[derive(Default)]
pub(crate) struct Options {
    /// `class = "Name"`: the name in events, instead of the type's name.
    pub(crate) class: Option<LitStr>,
    /// `env = self.environment`: the field in which an object keeps its `Env`.
    pub(crate) env: Option<Expr>,
    /// `state = self.ctx`: the field in which an object keeps its `State`.
    pub(crate) state: Option<Expr>,
    /// `crate = path`: the path of `worker-sentry`.
    pub(crate) root: Option<Path>,
    /// `skip(alarm)`: handlers that are not wrapped.
    pub(crate) skip: Vec<Ident>,
    /// `background(fetch)`: handlers that do not wait for their report.
    pub(crate) background: Vec<Ident>,
    /// `fetch`: the event of a function.
    pub(crate) handler: Option<Ident>,
}

impl Options {
    /// The path of `worker-sentry`.
    pub(crate) fn root(&self) -> Path {
        self.root
            .clone()
            .unwrap_or_else(|| syn::parse_quote!(::worker_sentry))
    }
}

impl Parse for Options {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut options = Options::default();
        while !input.is_empty() {
            options.parse_one(input)?;
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        if let Some(twice) = options
            .skip
            .iter()
            .find(|name| options.background.contains(name))
        {
            let message = format!("`{twice}` is skipped, so it has no report that could wait");
            return Err(Error::new(twice.span(), message));
        }
        Ok(options)
    }
}

impl Options {
    fn parse_one(&mut self, input: ParseStream<'_>) -> Result<()> {
        if input.peek(Token![crate]) {
            let span = input.parse::<Token![crate]>()?.span;
            input.parse::<Token![=]>()?;
            return once(&mut self.root, span, Path::parse_mod_style(input)?);
        }
        let name: Ident = input.parse()?;
        let span = name.span();
        match name.to_string().as_str() {
            "class" => {
                input.parse::<Token![=]>()?;
                once(&mut self.class, span, input.parse()?)
            }
            "env" => {
                input.parse::<Token![=]>()?;
                once(&mut self.env, span, input.parse()?)
            }
            "state" => {
                input.parse::<Token![=]>()?;
                once(&mut self.state, span, input.parse()?)
            }
            "skip" => names(input, &mut self.skip),
            "background" => names(input, &mut self.background),
            _ if input.is_empty() || input.peek(Token![,]) => once(&mut self.handler, span, name),
            _ => Err(Error::new(
                span,
                format!(
                    "`{name}` is not an option; there are `class = \"…\"`, `env = self.…`, \
                     `state = self.…`, `skip(…)`, `background(…)` and `crate = …`"
                ),
            )),
        }
    }
}

fn once<T>(slot: &mut Option<T>, span: Span, value: T) -> Result<()> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(Error::new(span, "this was said before")),
    }
}

/// Reads a list of handlers in parentheses.
fn names(input: ParseStream<'_>, into: &mut Vec<Ident>) -> Result<()> {
    let list;
    parenthesized!(list in input);
    for name in Punctuated::<Ident, Token![,]>::parse_terminated(&list)? {
        if into.contains(&name) {
            return Err(Error::new(name.span(), "this was said before"));
        }
        into.push(name);
    }
    Ok(())
}
