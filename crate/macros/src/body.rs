//! How a handler's body becomes the future that a wrapper takes.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::{quote, quote_spanned};
use syn::{
    Block, Error, FnArg, GenericArgument, Pat, PatType, Path, PathArguments, Result, ReturnType,
    Signature, Type, parse_quote,
};

/// The future of a body.
///
/// The future captures the same variables as the body, by reference or by value: a body that
/// only borrows `env` leaves `env` to the wrapper. `output` is the body's return type, which the
/// compiler could not infer at a `?`.
pub(crate) fn future(
    root: &Path,
    output: &ReturnType,
    block: &Block,
    opening: &TokenStream,
) -> TokenStream {
    let statements = &block.stmts;
    // An `impl Trait` type cannot be written as a type argument.
    let typed = match output {
        ReturnType::Type(_, output) if !mentions(quote!(#output), "impl") => quote! {
            if false {
                return #root::__private::typed::<#output>();
            }
        },
        _ => TokenStream::new(),
    };
    let body = in_place(
        block,
        quote! {
            #typed
            #opening
            #(#statements)*
        },
    );
    quote_spanned!(body.span()=> async #body)
}

/// A body with other statements and the span of the original one. Coverage counts the lines of a
/// body only if the body has its original span.
pub(crate) fn in_place(block: &Block, statements: TokenStream) -> Group {
    let mut body = Group::new(Delimiter::Brace, statements);
    body.set_span(block.brace_token.span.join());
    body
}

/// Statements that run before the body, once for each run. There are none yet.
///
/// The request's name is known here, and the run's scope is entered at this point, so code that
/// reads the request belongs here.
pub(crate) fn opening(_root: &Path, _request: Option<&Ident>) -> TokenStream {
    TokenStream::new()
}

/// The success type of a `Result`, and its error type if that is written out.
pub(crate) fn result_parts(output: &ReturnType) -> Option<(&Type, Option<&Type>)> {
    let ReturnType::Type(_, output) = output else {
        return None;
    };
    let Type::Path(path) = &**output else {
        return None;
    };
    let last = path.path.segments.last()?;
    if last.ident != "Result" {
        return None;
    }
    let PathArguments::AngleBracketed(arguments) = &last.arguments else {
        return None;
    };
    let mut types = arguments.args.iter().filter_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    });
    let success = types.next()?;
    Some((success, types.next()))
}

/// The name of an argument. An argument without a name gets `fallback`.
pub(crate) fn name_of(argument: &mut FnArg, fallback: &str) -> Result<Ident> {
    let FnArg::Typed(PatType { pat, .. }) = argument else {
        return Err(Error::new_spanned(
            argument,
            "this argument was not expected",
        ));
    };
    match &**pat {
        Pat::Ident(name) if name.by_ref.is_none() && name.subpat.is_none() => {
            Ok(name.ident.clone())
        }
        Pat::Wild(_) => {
            let name = Ident::new(fallback, Span::mixed_site());
            **pat = parse_quote!(#name);
            Ok(name)
        }
        other => Err(Error::new_spanned(
            other,
            "`#[with_sentry]` passes this argument on: give it a name",
        )),
    }
}

/// The arguments of a signature, without the receiver.
pub(crate) fn typed(signature: &mut Signature) -> impl Iterator<Item = &mut FnArg> {
    let arguments = signature.inputs.iter_mut();
    arguments.filter(|argument| matches!(argument, FnArg::Typed(_)))
}

/// Whether a body may move the value of this name. `false` if the body only borrows it.
pub(crate) fn may_take(body: &Block, name: &Ident) -> bool {
    fn look(tokens: TokenStream, name: &Ident) -> bool {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let is_punct = |at: Option<usize>, wanted: char| {
            matches!(at.and_then(|at| tokens.get(at)),
                Some(TokenTree::Punct(punct)) if punct.as_char() == wanted)
        };
        tokens.iter().enumerate().any(|(at, token)| match token {
            TokenTree::Group(group) => look(group.stream(), name),
            TokenTree::Ident(ident) if ident == name => {
                let is_borrowed = is_punct(at.checked_sub(1), '&');
                let method = match tokens.get(at + 2) {
                    Some(TokenTree::Ident(method)) if is_punct(Some(at + 1), '.') => {
                        Some(method.to_string())
                    }
                    _ => None,
                };
                let takes = |method: String| method.contains("into");
                !is_borrowed && method.is_none_or(takes)
            }
            // A name inside a format string is only borrowed.
            _ => false,
        })
    }
    look(quote!(#body), name)
}

/// Whether the tokens contain a word.
pub(crate) fn mentions(tokens: TokenStream, word: &str) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Group(group) => mentions(group.stream(), word),
        TokenTree::Ident(ident) => ident == word,
        _ => false,
    })
}

/// Fails if the function is not an `async fn`, because only a future can be wrapped.
pub(crate) fn must_be_async(signature: &Signature) -> Result<()> {
    match signature.asyncness {
        Some(_) => Ok(()),
        None => Err(Error::new_spanned(
            signature.fn_token,
            format!(
                "`#[with_sentry]` wraps an `async fn`: write `{name}` as one, or leave it out \
                 with `skip({name})`",
                name = signature.ident
            ),
        )),
    }
}
