//! The one YAML reader: text → a tree whose every node knows its place.
//!
//! saphyr-parser finds the structure and leaves scalars as text; YAML 1.1's meaning of scalars, duplicate keys and merge
//! keys are applied here as PyYAML applies them. Hostile input costs bounded time: length, depth and (aliases expanded)
//! nodes are capped.

use std::collections::{BTreeMap, HashMap};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span as RawSpan, StrInput};

use super::problem::{Fix, FixKind, Problem, ProblemKind};
use super::scalar::{self, Scalar};
use super::span::{Edit, Lines, Span, sort_short};

/// Longest text, in bytes. A recipe for a hundred models has some ten thousand.
const MAX_BYTES: usize = 1 << 18;
/// Deepest nesting of lists and mappings. A recipe has six.
const MAX_DEPTH: usize = 32;
/// Most nodes, every use of an alias counted.
const MAX_NODES: usize = 20_000;
/// Most documents.
const MAX_DOCUMENTS: usize = 64;

/// A value and its place.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) span: Span,
    pub(super) data: Data,
}

/// What a node is.
#[derive(Clone, Debug)]
pub(super) enum Data {
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Map),
}

/// A mapping; no key stands in it twice.
#[derive(Clone, Debug, Default)]
pub(super) struct Map {
    pub(super) pairs: Vec<Pair>,
    /// Written in braces.
    pub(super) flow: bool,
}

/// A key and its value.
#[derive(Clone, Debug)]
pub(super) struct Pair {
    pub(super) key: Node,
    pub(super) value: Node,
    /// It came in through `<<` and stands elsewhere in the text.
    pub(super) merged: bool,
    /// The key stands more than once, and this is the last: taken away, it leaves another.
    pub(super) repeated: bool,
}

impl Node {
    pub(super) fn text(&self) -> Option<&str> {
        match &self.data {
            Data::Scalar(Scalar::Text(text)) => Some(text),
            _ => None,
        }
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self.data, Data::Scalar(Scalar::Null))
    }
}

impl Map {
    pub(super) fn get(&self, key: &str) -> Option<&Pair> {
        self.pairs.iter().find(|pair| pair.key.text() == Some(key))
    }
}

/// What `text` says: a tree for every document, unless it cannot be read, and what was found on the way.
pub(super) fn read(text: &str) -> (Vec<Node>, Vec<Problem>) {
    if text.len() > MAX_BYTES {
        let kind = ProblemKind::TooLong { bytes: text.len(), limit: MAX_BYTES };
        return (Vec::new(), vec![Problem::new(Span::on_line(1, 1, 0), kind)]);
    }
    let lines = Lines::new(text);
    if let Some(problem) = unreadable_character(&lines) {
        return (Vec::new(), vec![problem]);
    }
    let mut reader = Reader {
        parser: Parser::new_from_str(text),
        lines: &lines,
        anchors: HashMap::new(),
        nodes: 0,
        opaque: Vec::new(),
        problems: Vec::new(),
    };
    match reader.documents() {
        Ok(nodes) => {
            let Reader { opaque, mut problems, .. } = reader;
            if let Some(problem) = first_tab(&lines, &opaque) {
                return (Vec::new(), vec![problem]);
            }
            sort_short(&mut problems, |one, other| one.span() > other.span());
            (nodes, problems)
        }
        // A tab explains most of the errors in a text that has one; the parser words them otherwise.
        Err(problem) => {
            let tab = first_tab(&lines, &reader.opaque).filter(|tab| tab.span.line <= problem.span.line);
            (Vec::new(), vec![tab.unwrap_or(*problem)])
        }
    }
}

/// PyYAML's reader refuses these characters; the first three that it takes for line breaks are refused here.
fn unreadable_character(lines: &Lines<'_>) -> Option<Problem> {
    for number in 1..=lines.count() {
        for (column, character) in lines.line(number).chars().enumerate() {
            let readable = match character {
                '\t' | '\u{a0}'..='\u{2027}' | '\u{202a}'..='\u{fffd}' => true,
                '\u{2028}' | '\u{2029}' => false,
                _ => (' '..='~').contains(&character) || character > '\u{ffff}',
            };
            if !readable {
                let kind = ProblemKind::Character { code: character as u32 };
                return Some(Problem::new(Span::on_line(number, column + 1, 1), kind));
            }
        }
    }
    None
}

/// PyYAML takes a tab for white space nowhere but in quoted and block scalars and in comments.
fn first_tab(lines: &Lines<'_>, opaque: &[Span]) -> Option<Problem> {
    for number in 1..=lines.count() {
        let line = lines.line(number);
        if !line.contains('\t') {
            continue;
        }
        let mut before = ' ';
        for (index, character) in line.chars().enumerate() {
            let place = (number, index + 1);
            let inside = |span: &Span| (span.line, span.column) <= place && place < (span.end_line, span.end_column);
            if opaque.iter().any(inside) {
                before = 'x';
                continue;
            }
            if character == '#' && before.is_whitespace() {
                break;
            }
            if character == '\t' {
                let span = Span::on_line(number, index + 1, 1);
                let edit = Edit { span, text: "  ".into() };
                let fix = Fix { kind: FixKind::TabToSpaces, edits: vec![edit] };
                return Some(Problem::new(span, ProblemKind::Tab).with(fix));
            }
            before = character;
        }
    }
    None
}

type Read<T> = Result<T, Box<Problem>>;

struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    lines: &'a Lines<'a>,
    /// By saphyr's number: the node and how many nodes it holds. A node that is still open is not in here.
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
    /// Quoted and block scalars.
    opaque: Vec<Span>,
    problems: Vec<Problem>,
}

fn fail<T>(span: Span, kind: ProblemKind) -> Read<T> {
    Err(Box::new(Problem::new(span, kind)))
}

fn place(marker: &Marker) -> Span {
    Span::on_line(marker.line().max(1), marker.col() + 1, 0)
}

fn range(span: &RawSpan) -> Span {
    place(&span.start).until(place(&span.end))
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Read<(Event<'a>, Span)> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((event, range(&span))),
            Some(Err(error)) => {
                let mut span = place(error.marker());
                let mut detail = error.info().to_owned();
                // The parser notices a missing `:` only on the next line.
                if detail == "simple key expect ':'" && span.line > 1 {
                    span = self.lines.end_of(span.line - 1);
                    "this line is neither `key: value` nor `- item`".clone_into(&mut detail);
                }
                // …and an end that comes too early behind the end.
                if span.line > self.lines.count() {
                    span = self.lines.end_of(self.lines.count());
                }
                fail(span, ProblemKind::Syntax { detail })
            }
            None => fail(Span::on_line(1, 1, 0), ProblemKind::Empty),
        }
    }

    fn documents(&mut self) -> Read<Vec<Node>> {
        let mut roots: Vec<Node> = Vec::new();
        let (mut start, mut empty) = (Span::on_line(1, 1, 0), None);
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => break,
                Event::DocumentStart(_) => {
                    if roots.len() == MAX_DOCUMENTS {
                        return fail(span, ProblemKind::TooManyDocuments { limit: MAX_DOCUMENTS });
                    }
                    // No document knows another's anchors.
                    self.anchors.clear();
                    start = span;
                }
                Event::StreamStart | Event::DocumentEnd | Event::Nothing => {}
                event => {
                    let root = self.node(event, span, 0)?;
                    if root.is_null() {
                        empty = empty.or(Some(start));
                    }
                    roots.push(root);
                }
            }
        }
        match empty {
            Some(place) if roots.len() > 1 => fail(place, ProblemKind::EmptyDocument),
            None if !roots.is_empty() => Ok(roots),
            _ => fail(Span::on_line(1, 1, 0), ProblemKind::Empty),
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Read<Node> {
        if depth > MAX_DEPTH {
            return fail(span, ProblemKind::TooDeep { limit: MAX_DEPTH });
        }
        self.grow(1, span)?;
        let before = self.nodes;
        let (anchor, node) = match event {
            Event::Alias(anchor) => {
                let Some((node, size)) = self.anchors.get(&anchor) else {
                    return fail(span, ProblemKind::AliasInside);
                };
                let (mut node, size) = (node.clone(), *size);
                self.grow(size, span)?;
                if matches!(node.data, Data::Scalar(_)) {
                    node.span = span;
                }
                return Ok(node);
            }
            Event::Scalar(text, style, anchor, tag) => {
                refuse_tag(tag.is_some(), span)?;
                (anchor, self.scalar(&text, style, span))
            }
            Event::SequenceStart(anchor, tag) => {
                refuse_tag(tag.is_some(), span)?;
                (anchor, self.list(span, depth)?)
            }
            Event::MappingStart(anchor, tag) => {
                refuse_tag(tag.is_some(), span)?;
                (anchor, self.mapping(span, depth)?)
            }
            _ => return fail(span, ProblemKind::Syntax { detail: "a value was expected here".into() }),
        };
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), self.nodes - before));
        }
        Ok(node)
    }

    fn grow(&mut self, by: usize, span: Span) -> Read<()> {
        self.nodes += by;
        if self.nodes > MAX_NODES { fail(span, ProblemKind::TooManyNodes { limit: MAX_NODES }) } else { Ok(()) }
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, span: Span) -> Node {
        let span = self.tight(span, style);
        if style == ScalarStyle::Plain {
            return Node { span, data: Data::Scalar(scalar::resolve(text)) };
        }
        self.opaque.push(span);
        // A block that the text's end cuts off has no last line break to PyYAML; the parser gives it one.
        let block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
        let cut = block && span.end_line == self.lines.count() && !self.lines.slice(span).ends_with(['\n', '\r']);
        let text = text.strip_suffix('\n').filter(|_| cut).unwrap_or(text);
        Node { span, data: Data::Scalar(Scalar::Text(text.to_owned())) }
    }

    /// The span without the anchor before a scalar and without the blanks and the comment after a quoted one.
    fn tight(&self, mut span: Span, style: ScalarStyle) -> Span {
        let text = self.lines.slice(span);
        let mut begin = 0;
        while text[begin..].starts_with('&') {
            let name = text[begin..].find(char::is_whitespace).unwrap_or(text.len() - begin);
            let blank = text[begin + name..].find(|c: char| !c.is_whitespace()).unwrap_or(text.len() - begin - name);
            begin += name + blank;
        }
        span = span.until(span);
        let start = advance(span, &text[..begin]);
        let text = &text[begin..];
        let end = match style {
            ScalarStyle::SingleQuoted => closing(text, '\'').unwrap_or(text.len()),
            ScalarStyle::DoubleQuoted => closing(text, '"').unwrap_or(text.len()),
            ScalarStyle::Literal | ScalarStyle::Folded => text.len(),
            ScalarStyle::Plain => text.trim_end_matches([' ', '\t', '\n', '\r']).len(),
        };
        start.until(advance(start, &text[..end]))
    }

    fn list(&mut self, start: Span, depth: usize) -> Read<Node> {
        let mut items: Vec<Node> = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                let end = closed(span, items.last().map(|item| item.span), start);
                return Ok(Node { span: start.until(end), data: Data::List(items) });
            }
            items.push(self.node(event, span, depth + 1)?);
        }
    }

    fn mapping(&mut self, start: Span, depth: usize) -> Read<Node> {
        let mut own: Vec<Pair> = Vec::new();
        let mut merged: Vec<Pair> = Vec::new();
        let mut last = None;
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                let flow = self.lines.slice(start).trim_start().ends_with('{');
                let end = closed(span, last, start);
                let map = Map { pairs: self.unique(own, merged), flow };
                return Ok(Node { span: start.until(end), data: Data::Map(map) });
            }
            let merge = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, ..) if text == "<<");
            let key = self.node(event, span, depth + 1)?;
            if !matches!(key.data, Data::Scalar(_)) {
                return fail(key.span, ProblemKind::KeyNotScalar);
            }
            let (event, span) = self.next()?;
            let mut value = self.node(event, span, depth + 1)?;
            if value.span.start() == value.span {
                // Nothing is written: its place is the key's.
                value.span = key.span;
            }
            last = Some(value.span);
            if merge {
                merge_in(&mut merged, value)?;
            } else {
                own.push(Pair { key, value, merged: false, repeated: false });
            }
        }
    }

    /// Every key once: the last one written counts, and what is written counts before what is merged in.
    fn unique(&mut self, own: Vec<Pair>, merged: Vec<Pair>) -> Vec<Pair> {
        let mut pairs: Vec<Pair> = Vec::with_capacity(own.len());
        let mut places: BTreeMap<String, usize> = BTreeMap::new();
        for pair in own {
            let name = match &pair.key.data {
                Data::Scalar(scalar) => format!("{scalar:?}"),
                _ => continue,
            };
            if let Some(&at) = places.get(&name) {
                let first = pairs[at].key.span.line;
                let key = self.lines.slice(pair.key.span).to_owned();
                self.problems.push(Problem::new(pair.key.span, ProblemKind::DuplicateKey { key, first }));
                pairs[at] = Pair { repeated: true, ..pair };
            } else {
                places.insert(name, pairs.len());
                pairs.push(pair);
            }
        }
        // Of merged pairs the last one counts as well.
        for pair in merged.into_iter().rev() {
            if let Data::Scalar(scalar) = &pair.key.data
                && !places.contains_key(&format!("{scalar:?}"))
            {
                places.insert(format!("{scalar:?}"), pairs.len());
                pairs.push(Pair { merged: true, ..pair });
            }
        }
        pairs
    }
}

fn refuse_tag(tagged: bool, span: Span) -> Read<()> {
    if tagged { fail(span, ProblemKind::Tag) } else { Ok(()) }
}

/// `<<: *one` or `<<: [*one, *two]`, of which the first counts most.
fn merge_in(merged: &mut Vec<Pair>, value: Node) -> Read<()> {
    match value.data {
        Data::Map(map) => merged.extend(map.pairs),
        Data::List(items) => {
            for item in items.into_iter().rev() {
                let Data::Map(map) = item.data else { return fail(item.span, ProblemKind::MergeNotMapping) };
                merged.extend(map.pairs);
            }
        }
        Data::Scalar(_) => return fail(value.span, ProblemKind::MergeNotMapping),
    }
    Ok(())
}

/// Where a collection ends: at its bracket if it has one, else where its last part ends.
fn closed(end: Span, last: Option<Span>, start: Span) -> Span {
    if end.start() == end { last.unwrap_or(start) } else { end }
}

/// The place `text` further.
fn advance(from: Span, text: &str) -> Span {
    let lines = Lines::new(text);
    let last = lines.line(lines.count()).chars().count();
    match lines.count() {
        1 => Span::on_line(from.line, from.column + last, 0),
        count => Span::on_line(from.line + count - 1, last + 1, 0),
    }
}

/// The byte after the quote that closes the one that `text` begins with.
fn closing(text: &str, quote: char) -> Option<usize> {
    let mut characters = text.char_indices().skip(1).peekable();
    while let Some((at, character)) = characters.next() {
        if character == '\\' && quote == '"' {
            characters.next();
        } else if character == quote {
            match characters.peek() {
                Some((_, next)) if *next == quote && quote == '\'' => drop(characters.next()),
                _ => return Some(at + 1),
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A tree in one line, as Python would print it.
    fn show(node: &Node) -> String {
        match &node.data {
            Data::Scalar(Scalar::Null) => "None".into(),
            Data::Scalar(Scalar::Flag(flag)) => if *flag { "True" } else { "False" }.into(),
            Data::Scalar(Scalar::Number(number)) => format!("{number}"),
            Data::Scalar(Scalar::Date) => "date".into(),
            Data::Scalar(Scalar::Text(text)) => format!("'{text}'"),
            Data::List(items) => format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(", ")),
            Data::Map(map) => {
                let pairs: Vec<String> =
                    map.pairs.iter().map(|pair| format!("{}: {}", show(&pair.key), show(&pair.value))).collect();
                format!("{{{}}}", pairs.join(", "))
            }
        }
    }

    fn first(text: &str) -> Problem {
        read(text).1.into_iter().next().unwrap()
    }

    #[test]
    fn trees_are_pyyamls() {
        for (text, expected) in [
            ("a: 1\nb: [x, {y: no}]", "{'a': 1, 'b': ['x', {'y': False}]}"),
            ("a: 'no'\nb: \"1\"", "{'a': 'no', 'b': '1'}"),
            ("a: &x 1\nb: *x", "{'a': 1, 'b': 1}"),
            ("a: &x {p: 1}\nb: {q: 2, <<: *x, p: 3}", "{'a': {'p': 1}, 'b': {'q': 2, 'p': 3}}"),
            ("c: {<<: [{p: 1},{p: 2, r: 3}]}", "{'c': {'p': 1, 'r': 3}}"),
            ("a: {'<<': 1}", "{'a': {'<<': 1}}"),
            ("a: 1\na: 2", "{'a': 2}"),
            ("\u{feff}a: |\n  hi\n  yo\n", "{'a': 'hi\nyo\n'}"),
            ("true: 1\nyes: 2", "{True: 2}"),
            ("a: b\n  c", "{'a': 'b c'}"),
            ("a: |\n  hi\n  yo", "{'a': 'hi\nyo'}"),
            ("a: |+\n  hi\n\n", "{'a': 'hi\n\n'}"),
            ("a: >\n  hi\n  yo", "{'a': 'hi yo'}"),
            ("a: |\n  hi\n# end", "{'a': 'hi\n'}"),
            ("a: |\n  hi\nb: c", "{'a': 'hi\n', 'b': 'c'}"),
            ("a: |-\n  hi", "{'a': 'hi'}"),
            ("a: |\n  hi\n  ", "{'a': 'hi\n'}"),
            ("a: |\n  hi\n    ", "{'a': 'hi\n  '}"),
            ("a: |+\n  hi", "{'a': 'hi'}"),
            ("- |\n  hi\n- |\n  yo", "['hi\n', 'yo']"),
        ] {
            let nodes = read(text).0;
            assert_eq!(nodes.iter().map(show).collect::<Vec<_>>(), [expected], "{text}");
        }
    }

    #[test]
    fn spans_hold_the_token_and_nothing_else() {
        let text = "a: &x \"é\"  # why\nb: 'it''s'\nc:\n  - [1, 2]\nd: plain  \n";
        let (node, _) = read(text);
        let Data::Map(map) = &node[0].data else { unreachable!() };
        let lines = Lines::new(text);
        let slices: Vec<&str> = map.pairs.iter().map(|pair| lines.slice(pair.value.span)).collect();
        assert_eq!(slices, ["\"é\"", "'it''s'", "- [1, 2]", "plain"]);
    }

    #[test]
    fn what_cannot_be_read_is_refused_where_it_stands() {
        let mut bomb = String::from("a: &a [x,x,x,x,x,x,x,x,x,x]\n");
        for (last, name) in ["ab", "bc", "cd", "de", "ef"].map(|names| names.split_at(1)) {
            bomb.extend([name, ": &", name, " [", &vec![format!("*{last}"); 10].join(","), "]\n"]);
        }
        for (text, line, column, kind) in [
            ("a: 1\0", 1, 5, ProblemKind::Character { code: 0 }),
            ("a: b\n\u{2028}c: 1", 2, 1, ProblemKind::Character { code: 0x2028 }),
            ("a:\tb", 1, 3, ProblemKind::Tab),
            ("a:\n\tb: 1", 2, 1, ProblemKind::Tab),
            ("a: b\t", 1, 5, ProblemKind::Tab),
            ("", 1, 1, ProblemKind::Empty),
            ("# nothing", 1, 1, ProblemKind::Empty),
            ("a: 1\n--- \n# b\n", 2, 1, ProblemKind::EmptyDocument),
            ("---\n---\na: 1", 1, 1, ProblemKind::EmptyDocument),
            ("a: &x 1\n---\nb: *x", 3, 4, ProblemKind::AliasInside),
            (&"a: 1\n---\n".repeat(65), 128, 1, ProblemKind::TooManyDocuments { limit: MAX_DOCUMENTS }),
            ("a: !!int 1", 1, 4, ProblemKind::Tag),
            ("a: &x [*x]", 1, 8, ProblemKind::AliasInside),
            ("? [a]\n: b", 1, 3, ProblemKind::KeyNotScalar),
            ("a: {<<: 1}", 1, 9, ProblemKind::MergeNotMapping),
            (&bomb, 5, 8, ProblemKind::TooManyNodes { limit: MAX_NODES }),
            (&"[".repeat(40), 1, 34, ProblemKind::TooDeep { limit: MAX_DEPTH }),
            (&" ".repeat(MAX_BYTES + 1), 1, 1, ProblemKind::TooLong { bytes: MAX_BYTES + 1, limit: MAX_BYTES }),
        ] {
            let problem = first(text);
            assert_eq!((problem.span.line, problem.span.column, &problem.kind), (line, column, &kind), "{text:.60}");
        }
        let problem = first("a: b\nmerge_method linear\nc: d");
        assert_eq!((problem.span.line, problem.span.column), (2, 20));
        assert!(matches!(problem.kind, ProblemKind::Syntax { .. }));
    }

    #[test]
    fn tabs_in_quotes_and_comments_are_no_problem() {
        for text in ["a: 'x\ty'", "a: \"x\ty\"", "a: 1 #\tx", "#\tx\na: 1", "a: |\n  x\ty\n"] {
            let (nodes, problems) = read(text);
            assert!(!nodes.is_empty(), "{text}: {problems:?}");
        }
    }

    #[test]
    fn a_repeated_key_is_told_of() {
        let problem = first("a: 1\nb: 2\na: 3");
        assert_eq!(problem.kind, ProblemKind::DuplicateKey { key: "a".into(), first: 1 });
        assert_eq!(problem.span, Span::on_line(3, 1, 1));
    }
}
