//! Finds the fields in which a constructor keeps its arguments.

use proc_macro2::Ident;
use syn::visit::{self, Visit};
use syn::{Block, Expr, ExprCall, ExprPath, ExprStruct, Index, Member, Path};

/// The field into which a constructor's body puts the argument `name` or a clone of it.
pub(crate) fn keeping(body: &Block, class: &Ident, name: &Ident) -> Option<Member> {
    let mut search = Search {
        class,
        name,
        found: None,
    };
    search.visit_block(body);
    search.found
}

struct Search<'a> {
    class: &'a Ident,
    name: &'a Ident,
    found: Option<Member>,
}

impl Search<'_> {
    fn is_class(&self, path: &Path) -> bool {
        let last = path.segments.last();
        last.is_some_and(|last| last.ident == "Self" || last.ident == *self.class)
    }

    /// Whether an expression is the argument itself, or a clone of it.
    fn is_argument(&self, expression: &Expr) -> bool {
        match expression {
            Expr::Path(ExprPath { path, .. }) => path.is_ident(self.name),
            Expr::MethodCall(call) => call.method == "clone" && self.is_argument(&call.receiver),
            _ => false,
        }
    }
}

impl<'ast> Visit<'ast> for Search<'_> {
    fn visit_expr_struct(&mut self, literal: &'ast ExprStruct) {
        if self.is_class(&literal.path) {
            let kept = literal.fields.iter().find(|it| self.is_argument(&it.expr));
            self.found = self.found.take().or(kept.map(|it| it.member.clone()));
        }
        visit::visit_expr_struct(self, literal);
    }

    fn visit_expr_call(&mut self, call: &'ast ExprCall) {
        if let Expr::Path(ExprPath { path, .. }) = &*call.func
            && self.is_class(path)
        {
            let kept = call.args.iter().position(|it| self.is_argument(it));
            let index = |at: usize| Member::Unnamed(Index::from(at));
            self.found = self.found.take().or(kept.map(index));
        }
        visit::visit_expr_call(self, call);
    }
}
