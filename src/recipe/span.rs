//! Places in a recipe's text, and edits to it.

use serde::{Deserialize, Serialize};

/// From a first character to before another. Lines and columns count from 1; a column counts characters (not bytes, not
/// UTF-16 units).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Span {
    /// Line of the first character.
    pub line: usize,
    /// Column of the first character.
    pub column: usize,
    /// Line of the character after the last.
    pub end_line: usize,
    /// Column of the character after the last.
    pub end_column: usize,
}

impl Span {
    /// The span of `length` characters on one line.
    pub(super) fn on_line(line: usize, column: usize, length: usize) -> Self {
        Self { line, column, end_line: line, end_column: column + length }
    }

    /// The place where this span begins.
    pub(super) fn start(self) -> Self {
        Self { end_line: self.line, end_column: self.column, ..self }
    }

    /// From where this span begins to where `last` ends.
    pub(super) fn until(self, last: Self) -> Self {
        Self { end_line: last.end_line, end_column: last.end_column, ..self }
    }
}

/// Text to put in the place of a span; an empty span inserts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edit {
    /// What is replaced.
    pub span: Span,
    /// What stands there afterwards.
    pub text: String,
}

/// Sorts a list that is short or nearly in order: `behind` says whether its first belongs behind its second. (std's sort takes five
/// kilobytes of the page for every type that it sorts.)
pub(super) fn sort_short<T>(items: &mut [T], behind: impl Fn(&T, &T) -> bool) {
    for end in 1..items.len() {
        let mut at = end;
        while at > 0 && behind(&items[at - 1], &items[at]) {
            items.swap(at - 1, at);
            at -= 1;
        }
    }
}

/// `text` after `edits`, all of which speak of `text` as it is. Places past the end of a line mean its end.
pub(super) fn apply(text: &str, edits: &[Edit]) -> String {
    let lines = Lines::new(text);
    let mut edits: Vec<(usize, usize, &str)> = edits
        .iter()
        .map(|edit| {
            let start = lines.offset(edit.span.line, edit.span.column);
            let end = lines.offset(edit.span.end_line, edit.span.end_column);
            (start, end.max(start), edit.text.as_str())
        })
        .collect();
    // Back to front, so that no edit moves the place of the next; at one place, what is removed goes before what is inserted.
    sort_short(&mut edits, |one, other| (one.0, one.1) >= (other.0, other.1));
    let mut result = text.to_owned();
    let mut untouched = text.len();
    for (start, end, replacement) in edits.into_iter().rev() {
        if end <= untouched || start == end {
            result.replace_range(start..end, replacement);
            untouched = start;
        }
    }
    result
}

/// A text by its lines.
pub(super) struct Lines<'a> {
    text: &'a str,
    /// Where each line begins and where it ends, without its line break.
    bounds: Vec<(usize, usize)>,
}

impl<'a> Lines<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let bytes = text.as_bytes();
        let mut bounds = Vec::new();
        let (mut start, mut at) = (0, 0);
        while at < bytes.len() {
            if bytes[at] == b'\n' || bytes[at] == b'\r' {
                bounds.push((start, at));
                at += usize::from(bytes[at..].starts_with(b"\r\n"));
                start = at + 1;
            }
            at += 1;
        }
        bounds.push((start, bytes.len()));
        Self { text, bounds }
    }

    /// How many lines there are; a line break at the end begins one more.
    pub(super) fn count(&self) -> usize {
        self.bounds.len()
    }

    /// Line `number` (from 1) without its line break; empty past the end.
    pub(super) fn line(&self, number: usize) -> &'a str {
        let bounds = number.checked_sub(1).and_then(|index| self.bounds.get(index));
        bounds.map_or("", |&(start, end)| &self.text[start..end])
    }

    /// The place after the last character of line `number`.
    pub(super) fn end_of(&self, number: usize) -> Span {
        Span::on_line(number, self.line(number).chars().count() + 1, 0)
    }

    /// The byte at a line and column.
    pub(super) fn offset(&self, line: usize, column: usize) -> usize {
        let Some(&(start, end)) = line.checked_sub(1).and_then(|index| self.bounds.get(index)) else {
            return self.text.len();
        };
        let within = self.text[start..end].char_indices().nth(column.saturating_sub(1));
        within.map_or(end, |(offset, _)| start + offset)
    }

    /// The text of a span.
    pub(super) fn slice(&self, span: Span) -> &'a str {
        let start = self.offset(span.line, span.column);
        let end = self.offset(span.end_line, span.end_column);
        self.text.get(start..end).unwrap_or("")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_line_break_ends_a_line() {
        let lines = Lines::new("a\nbé\r\nc\rd");
        assert_eq!((1..=5).map(|line| lines.line(line)).collect::<Vec<_>>(), ["a", "bé", "c", "d", ""]);
        assert_eq!(lines.slice(Span { line: 2, column: 2, end_line: 3, end_column: 2 }), "é\r\nc");
    }

    #[test]
    fn edits_speak_of_the_text_as_it_was() {
        let at =
            |line, column, length, text: &str| Edit { span: Span::on_line(line, column, length), text: text.into() };
        assert_eq!(apply("abc\ndef", &[at(1, 1, 1, "xy"), at(2, 3, 1, ""), at(1, 9, 0, "!")]), "xybc!\nde");
    }
}
