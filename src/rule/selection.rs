//! One selection: a map of fields, a list of maps, or keywords.

use super::ast::{Node, ScriptSource};
use super::read::{Context, Entries};
use super::value::{all, any, field_test, keyword};
use super::yaml::{Content, Key, ScalarKind, Yaml};

/// The key beside fields that holds a Rhai expression.
const SCRIPT: &str = "script";

/// What a selection tests. Nothing after a mistake, which is reported.
pub(super) fn selection(key: &Key, node: &Yaml, context: &mut Context<'_>) -> Option<Node> {
    match &node.content {
        Content::Map(entries) => fields(key, entries, context),
        Content::List(items) => list(key, items, context),
        Content::Scalar(scalar) if scalar.kind == ScalarKind::Null => {
            let message = format!("the selection `{}` is empty", key.text);
            context
                .report
                .error("bad-value", key.place, message)
                .help("expected fields, or a list of keywords");
            None
        }
        Content::Scalar(scalar) => keyword(node, scalar, context),
    }
}

fn fields(key: &Key, entries: Entries<'_>, context: &mut Context<'_>) -> Option<Node> {
    if entries.is_empty() {
        let message = format!("the selection `{}` is empty", key.text);
        context.report.error("bad-value", key.place, message).help("expected fields, or a list of keywords");
        return None;
    }
    let mut nodes = Vec::with_capacity(entries.len());
    for (field, value) in entries {
        nodes.push(if field.text == SCRIPT {
            script(value, context).map(Node::Script)
        } else {
            field_test(field, value, context)
        });
    }
    nodes.into_iter().collect::<Option<Vec<_>>>().map(all)
}

fn list(key: &Key, items: &[Yaml], context: &mut Context<'_>) -> Option<Node> {
    if items.is_empty() {
        let message = format!("the selection `{}` has an empty list, which nothing can match", key.text);
        context.report.error("bad-value", key.place, message).help("expected maps of fields, or keywords");
        return None;
    }
    let mut nodes = Vec::with_capacity(items.len());
    for item in items {
        nodes.push(match &item.content {
            Content::Map(entries) => fields(key, entries, context),
            Content::Scalar(scalar) => keyword(item, scalar, context),
            Content::List(_) => {
                super::read::wrong_type(item, "an item of a selection", "a map or a keyword", context.report);
                None
            }
        });
    }
    nodes.into_iter().collect::<Option<Vec<_>>>().map(any)
}

fn script(value: &Yaml, context: &mut Context<'_>) -> Option<ScriptSource> {
    let source = super::read::name(value, "`script`", context.report)?;
    // The place of a block scalar is its first line with text.
    let source = source.trim_start_matches(['\n', '\r']).to_owned();
    Some(ScriptSource { source, line: value.place.own_line(), column: value.place.column, path: None })
}
