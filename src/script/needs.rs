//! What a compiled script asks for, read off its syntax tree.

use std::collections::BTreeSet;

use rhai::{AST, ASTNode, Expr, FnCallExpr, ImmutableString, Position, Stmt};

/// What a script asks of the events in its window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Needs {
    /// Nothing but how many they are.
    Nothing,
    /// The values of these fields.
    Columns(Box<[Box<str>]>),
    /// Whole events.
    Events,
}

impl Needs {
    /// What the functions of a script ask of a variable of this name, and whether they use it at all. Where a
    /// window goes to a function or into a variable, everything may be asked of it.
    pub(super) fn of(ast: &AST, window: &str) -> (Self, bool) {
        let mut fields: Vec<Box<str>> = Vec::new();
        let (mut is_used, mut is_whole) = (false, false);
        ast.walk(&mut |path: &[ASTNode<'_>]| {
            let [.., parent, ASTNode::Expr(Expr::Variable(..))] = path else {
                is_used |= is_named(path.last(), window);
                is_whole |= path.len() < 2 && is_named(path.last(), window);
                return true;
            };
            if is_named(path.last(), window) {
                is_used = true;
                match column(parent, path.last()) {
                    Some(Some(field)) if !fields.contains(&field) => fields.push(field),
                    Some(_) => {}
                    None => is_whole = true,
                }
            }
            true
        });
        let needs = match (is_whole, fields.is_empty()) {
            (true, _) => Self::Events,
            (false, true) => Self::Nothing,
            (false, false) => Self::Columns(fields.into()),
        };
        (needs, is_used)
    }
}

fn is_named(node: Option<&ASTNode<'_>>, name: &str) -> bool {
    matches!(node, Some(ASTNode::Expr(Expr::Variable(variable, ..))) if variable.1.as_str() == name)
}

/// The field in `window.distinct("field")` or `window.sum("field")`; nothing inside for `window.count()`.
fn column(parent: &ASTNode<'_>, variable: Option<&ASTNode<'_>>) -> Option<Option<Box<str>>> {
    let (ASTNode::Expr(Expr::Dot(chain, ..)), Some(ASTNode::Expr(variable))) = (parent, variable) else {
        return None;
    };
    if !std::ptr::eq(&raw const chain.lhs, *variable) {
        return None;
    }
    let call = match &chain.rhs {
        Expr::MethodCall(call, _) => call,
        Expr::Dot(rest, ..) | Expr::Index(rest, ..) => match &rest.lhs {
            Expr::MethodCall(call, _) => call,
            _ => return None,
        },
        _ => return None,
    };
    match (call.name.as_str(), call.args.as_slice()) {
        ("count", []) => Some(None),
        ("distinct" | "sum", [Expr::StringConstant(field, _)]) => Some(Some(field.as_str().into())),
        _ => None,
    }
}

/// Every name that stands behind a dot.
pub(super) fn properties(ast: &AST) -> BTreeSet<ImmutableString> {
    let mut found = BTreeSet::new();
    ast.walk(&mut |path: &[ASTNode<'_>]| {
        if let Some(ASTNode::Expr(Expr::Property(property, _))) = path.last() {
            found.insert(property.2.clone());
        }
        true
    });
    found
}

/// Every function that a script calls by name, with its place. Operators are left out.
pub(super) fn calls(ast: &AST) -> Vec<(String, Position)> {
    let mut found = Vec::new();
    let mut add = |call: &FnCallExpr, position: Position| {
        if call.op_token.is_none()
            && call.name.starts_with(|first: char| first.is_alphabetic() || first == '_')
        {
            found.push((call.name.to_string(), position));
        }
    };
    ast.walk(&mut |path: &[ASTNode<'_>]| {
        if let Some(
            ASTNode::Expr(Expr::FnCall(call, position) | Expr::MethodCall(call, position))
            | ASTNode::Stmt(Stmt::FnCall(call, position)),
        ) = path.last()
        {
            add(call, *position);
        }
        true
    });
    found
}
