//! A pasted text by its lines, with a page's typography undone.

use super::{RepairKind, RepairNote};
use crate::recipe::span::Lines;

/// A line of the text as it was, and what it should be.
pub(super) struct TidyLine<'a> {
    pub(super) number: usize,
    pub(super) was: &'a str,
    pub(super) text: String,
}

/// The lines that remain, and what was done to them.
pub(super) struct Tidied<'a> {
    pub(super) lines: Vec<TidyLine<'a>>,
    pub(super) notes: Vec<RepairNote>,
}

impl Tidied<'_> {
    pub(super) fn changed(&self) -> bool {
        !self.notes.is_empty()
    }

    pub(super) fn text(&self) -> String {
        self.lines.iter().map(|line| line.text.clone() + "\n").collect()
    }

    /// The lines of each document, and what was done. A separator that separates nothing goes away.
    pub(super) fn documents(self) -> (Vec<Self>, Vec<RepairNote>) {
        let empty = || Self { lines: Vec::new(), notes: Vec::new() };
        let (mut documents, mut notes) = (vec![empty()], self.notes);
        for line in self.lines {
            let open = documents.len() - 1;
            if line.text != "---" {
                documents[open].lines.push(line);
            } else if documents[open].lines.iter().all(|line| line.text.is_empty()) {
                notes.push(RepairNote { line: line.number, kind: RepairKind::Removed });
            } else {
                documents.push(empty());
            }
        }
        (documents, notes)
    }
}

/// Whether a character that YAML refuses is typography.
pub(super) fn knows(code: u32) -> bool {
    char::from_u32(code).is_some_and(|character| replacement(character).is_some())
}

/// What stands for a character, and whether it is a kind of space.
fn replacement(character: char) -> Option<(&'static str, bool)> {
    Some(match character {
        '\t' => ("  ", true),
        '\u{a0}'
        | '\u{1680}'
        | '\u{2000}'..='\u{200a}'
        | '\u{2028}'
        | '\u{2029}'
        | '\u{202f}'
        | '\u{205f}'
        | '\u{3000}' => (" ", true),
        // Zero width, and the soft hyphen.
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' => ("", true),
        '“' | '”' | '„' | '‟' | '＂' | '«' | '»' => ("\"", false),
        '‘' | '’' | '‚' | '‛' | '＇' => ("'", false),
        '：' => (":", false),
        '，' => (",", false),
        '［' => ("[", false),
        '］' => ("]", false),
        _ => return None,
    })
}

/// Undoes typography line by line and removes the fences of a code block.
pub(super) fn tidy(text: &str) -> Tidied<'_> {
    let source = Lines::new(text);
    let mut tidied = Tidied { lines: Vec::new(), notes: Vec::new() };
    for number in 1..=source.count() {
        let was = source.line(number);
        if number == source.count() && was.is_empty() {
            break;
        }
        let mut note = |kind| tidied.notes.push(RepairNote { line: number, kind });
        if was.trim().starts_with("```") {
            note(RepairKind::Removed);
            continue;
        }
        let (mut spaces, mut marks) = (false, false);
        let mut line = String::with_capacity(was.len());
        for character in was.chars() {
            match replacement(character) {
                Some((instead, space)) => {
                    line.push_str(instead);
                    if space {
                        spaces = true;
                    } else {
                        marks = true;
                    }
                }
                None => line.push(character),
            }
        }
        // A typographic colon brings its own space; a plain one needs one.
        if was.contains('：') {
            line = line.replacen(':', ": ", 1).replacen(":  ", ": ", 1);
        }
        // A dash or a bullet before an item.
        let start = line.len() - line.trim_start().len();
        if let Some(rest) = line[start..].strip_prefix(['–', '—', '−', '‐', '‑', '•', '·', '‣', '－'])
            && rest.starts_with(' ')
        {
            line = format!("{}-{rest}", &line[..start]);
            marks = true;
        }
        if spaces {
            note(RepairKind::Spaces);
        }
        if marks {
            note(RepairKind::Marks);
        }
        line.truncate(line.trim_end().len());
        tidied.lines.push(TidyLine { number, was, text: line });
    }
    tidied
}
