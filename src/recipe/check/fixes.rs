//! Repairs that need no guessing, as edits of the text.
//!
//! Each works on the block style that recipes are written in, and is not offered elsewhere (in braces, behind aliases).

use super::super::problem::{Fix, FixKind, Place};
use super::super::reader::{Data, Map, Node, Pair};
use super::super::span::{Edit, Lines, Span};

/// Another word in the place of a token.
pub(super) fn replace(span: Span, to: &str) -> Fix {
    Fix { kind: FixKind::Replace { to: to.into() }, edits: vec![Edit { span, text: to.into() }] }
}

/// Quotation marks around a plain scalar.
pub(super) fn quote(lines: &Lines<'_>, span: Span) -> Option<Fix> {
    let text = lines.slice(span);
    let plain = !text.is_empty() && !text.contains(['\'', '"', '*', '\n', '\r']);
    plain.then(|| Fix { kind: FixKind::Quote, edits: vec![Edit { span, text: format!("\"{text}\"") }] })
}

/// The entry's lines go, and with them the entry.
pub(super) fn remove(lines: &Lines<'_>, pair: &Pair) -> Option<Fix> {
    let edit = deletion(lines, pair)?;
    Some(Fix { kind: FixKind::Remove { key: pair.key.text()?.into() }, edits: vec![edit] })
}

/// A line at the end of the block mapping `root`.
pub(super) fn append(lines: &Lines<'_>, root: &Map, key: &str, value: &str, kind: FixKind) -> Option<Fix> {
    let column = column(root)?;
    let line = format!("{}{key}: {value}", " ".repeat(column - 1));
    Some(Fix { kind, edits: vec![insertion(lines, last_line(root)?, &line)] })
}

/// The entry moves to the end of `root`.
pub(super) fn move_to_top(lines: &Lines<'_>, pair: &Pair, root: &Map) -> Option<Fix> {
    let key = pair.key.text().filter(|key| root.get(key).is_none())?;
    let to = insertion(lines, last_line(root)?, &entry_at(lines, pair, column(root)?)?);
    Some(Fix { kind: FixKind::Move { key: key.into(), to: Place::Top }, edits: vec![deletion(lines, pair)?, to] })
}

/// The entry moves under the `parameters` of `owner`, which are made if there are none.
pub(super) fn move_to_parameters(lines: &Lines<'_>, pair: &Pair, owner: &Map, to: Place) -> Option<Fix> {
    let key = pair.key.text()?;
    let owner_column = column(owner)?;
    let inside = owner.pairs.iter().any(|own| own.key.span == pair.key.span);
    let removal = deletion(lines, pair)?;
    let edits = match owner.get("parameters") {
        Some(Pair { merged: true, .. }) => return None,
        Some(parameters) => match &parameters.value.data {
            Data::Map(map) if map.get(key).is_some() => return None,
            Data::Map(map) if !map.flow => {
                let entry = entry_at(lines, pair, column(map)?)?;
                vec![removal, insertion(lines, map.pairs.iter().map(|own| end(own).end_line).max()?, &entry)]
            }
            _ if parameters.value.is_null() && parameters.value.span == parameters.key.span => {
                let entry = entry_at(lines, pair, owner_column + 2)?;
                vec![removal, insertion(lines, parameters.key.span.line, &entry)]
            }
            _ => return None,
        },
        None => {
            let entry = entry_at(lines, pair, owner_column + 2)?;
            let entry = format!("{}parameters:\n{entry}", " ".repeat(owner_column - 1));
            // An entry that only moves deeper stays where it is.
            let line = if inside { pair.key.span.line.checked_sub(1)? } else { last_line(owner)? };
            if line == 0 {
                let span = Span { line: 1, column: 1, ..end(pair) };
                vec![Edit { span, text: entry }]
            } else {
                vec![removal, insertion(lines, line, &entry)]
            }
        }
    };
    Some(Fix { kind: FixKind::Move { key: key.into(), to }, edits })
}

/// Where the keys of a block mapping stand.
fn column(map: &Map) -> Option<usize> {
    let first = map.pairs.iter().find(|pair| !pair.merged)?;
    (!map.flow).then_some(first.key.span.column)
}

fn last_line(map: &Map) -> Option<usize> {
    map.pairs.iter().filter(|pair| !pair.merged).map(|pair| end(pair).end_line).max()
}

/// The span of an entry. An alias' value stands where the alias does, or (a list, a mapping) elsewhere.
fn end(pair: &Pair) -> Span {
    pair.key.span.until(pair.value.span)
}

/// Whether the lines of an entry hold nothing else, and no others hold the same entry.
fn alone(lines: &Lines<'_>, pair: &Pair) -> bool {
    let span = end(pair);
    let before: String = lines.line(span.line).chars().take(span.column - 1).collect();
    let after: String = lines.line(span.end_line).chars().skip(span.end_column - 1).collect();
    let after = after.trim_start_matches([' ', ':']);
    let aliased = pair.value.span < pair.key.span || has_alias(lines, &pair.value);
    !pair.merged
        && !pair.repeated
        && !aliased
        && before.trim().is_empty()
        && (after.is_empty() || after.starts_with('#'))
}

/// Whether part of a value stands before the value itself: it came in through an alias.
fn has_alias(lines: &Lines<'_>, node: &Node) -> bool {
    lines.slice(node.span).contains(['*', '&'])
}

/// An entry's lines, moved so that its key stands at `column`.
fn entry_at(lines: &Lines<'_>, pair: &Pair, column: usize) -> Option<String> {
    if !alone(lines, pair) {
        return None;
    }
    let span = end(pair);
    let moved: Option<Vec<String>> = (span.line..=span.end_line)
        .map(|number| {
            let line = lines.line(number);
            let indent = line.len() - line.trim_start_matches(' ').len();
            let indent = if line.trim().is_empty() { 0 } else { (indent + column).checked_sub(span.column)? };
            Some(format!("{}{}", " ".repeat(indent), line.trim()))
        })
        .collect();
    moved.map(|lines| lines.join("\n"))
}

fn deletion(lines: &Lines<'_>, pair: &Pair) -> Option<Edit> {
    let Span { line, end_line, .. } = end(pair);
    if !alone(lines, pair) {
        return None;
    }
    let span = if line > 1 {
        lines.end_of(line - 1).until(lines.end_of(end_line))
    } else {
        Span { line: 1, column: 1, end_line: end_line + 1, end_column: 1 }
    };
    Some(Edit { span, text: String::new() })
}

fn insertion(lines: &Lines<'_>, after_line: usize, text: &str) -> Edit {
    Edit { span: lines.end_of(after_line), text: format!("\n{text}") }
}
