//! Task files' YAML: a tree whose every node knows its place. Scalars mean what YAML 1.1 (PyYAML, which lm-evaluation-harness reads
//! with) makes of them; `!function` is kept as what it is, other tags are refused.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, StrInput, Tag};

use super::{Error, Place, Value};
use crate::python::text::display;
use scalar::Scalar;

// One reading of YAML 1.1's scalars, for recipes and for tasks. What recipes ask of a text beyond that is not used here.
#[allow(dead_code, reason = "the file is the engine's, too")]
#[path = "../../../src/recipe/scalar.rs"]
mod scalar;

/// Longest text, in bytes.
const MAX_BYTES: usize = 1 << 20;
/// Deepest nesting.
const MAX_DEPTH: usize = 32;
/// Most nodes, every use of an alias counted.
const MAX_NODES: usize = 50_000;
/// Columns by which lines are moved at a time, and how often.
const INDENT: usize = 32;
const MOST_REPAIRS: usize = 64;

/// A value and its place.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) at: Place,
    pub(super) data: Data,
}

#[derive(Clone, Debug)]
pub(super) enum Data {
    /// Never a list or a mapping.
    Scalar(Value),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
    /// `!function module.name`
    Function(String),
}

/// A mapping's key.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) at: Place,
    pub(super) value: Value,
}

impl Node {
    /// The value, if no part of it is a function; a key that is no text is what Python writes for it.
    pub(super) fn value(&self, key: &str) -> Result<Value, Error> {
        match &self.data {
            Data::Scalar(value) => Ok(value.clone()),
            Data::List(items) => Ok(Value::List(items.iter().map(|item| item.value(key)).collect::<Result<_, _>>()?)),
            Data::Map(pairs) => {
                let pair = |(name, node): &(Key, Node)| {
                    let name = display(&name.value);
                    let value = node.value(&format!("{key}.{name}"))?;
                    Ok((name, value))
                };
                Ok(Value::Map(pairs.iter().map(pair).collect::<Result<_, _>>()?))
            }
            Data::Function(function) => {
                Err(Error::Function { at: self.at.clone(), key: key.into(), function: function.clone() })
            }
        }
    }
}

/// The one document of `text`.
pub(super) fn read(file: &str, text: &str) -> Result<Node, Error> {
    let start = Place { file: file.into(), line: 1, column: 1 };
    if text.len() > MAX_BYTES {
        return Err(Error::Yaml { at: start, detail: format!("longer than {MAX_BYTES} bytes") });
    }
    let mut indented = Indented { text: text.to_owned(), by: HashMap::new() };
    for _ in 0..MOST_REPAIRS {
        match read_strictly(file, &indented) {
            Err(Error::Yaml { at, detail }) if indented.repair(&at, &detail) => {}
            outcome => return outcome,
        }
    }
    read_strictly(file, &indented)
}

/// A text of which some lines are further right than they were written. Within quotes and brackets PyYAML does not mind where a line
/// begins, and the parser here does.
struct Indented {
    text: String,
    /// Lines, from 1, and by how many columns.
    by: HashMap<usize, usize>,
}

impl Indented {
    /// Moves what a complaint of the parser is about; `false` where it is about something else.
    fn repair(&mut self, at: &Place, detail: &str) -> bool {
        let line = at.line as usize;
        let lines = match detail {
            "invalid indentation" | "invalid indentation in flow construct" => line..line + 1,
            // It names the place where the quotes begin.
            "invalid indentation in quoted scalar" => {
                let column = at.column as usize - 1 + self.by.get(&line).copied().unwrap_or(0);
                let before: usize = self.text.split_inclusive('\n').take(line - 1).map(str::len).sum();
                line + 1..line + 1 + line_breaks(self.text[before..].chars().skip(column))
            }
            _ => return false,
        };
        // A carriage return alone is a line break to the parser, and not here.
        if self.text.replace("\r\n", "").contains('\r') {
            return false;
        }
        for line in lines.clone() {
            *self.by.entry(line).or_default() += INDENT;
        }
        let indented = self.text.split_inclusive('\n').enumerate().map(|(index, text)| {
            let blank = text.trim().is_empty() || !lines.contains(&(index + 1));
            if blank { text.to_owned() } else { " ".repeat(INDENT) + text }
        });
        self.text = indented.collect();
        true
    }
}

/// In a text in quotes with which these characters begin.
fn line_breaks(mut characters: impl Iterator<Item = char>) -> usize {
    let Some(quote) = characters.next() else { return 0 };
    let mut breaks = 0;
    while let Some(character) = characters.next() {
        match character {
            _ if character == quote => match characters.next() {
                Some(again) if again == quote && quote == '\'' => {}
                _ => break,
            },
            '\\' if quote == '"' => breaks += usize::from(characters.next() == Some('\n')),
            '\n' => breaks += 1,
            _ => {}
        }
    }
    breaks
}

fn read_strictly(file: &str, Indented { text, by }: &Indented) -> Result<Node, Error> {
    let start = Place { file: file.into(), line: 1, column: 1 };
    let mut reader = Reader { parser: Parser::new_from_str(text), file, text, by, anchors: HashMap::new(), nodes: 0 };
    let mut root = None;
    loop {
        let (event, at, span) = reader.next()?;
        match event {
            Event::StreamEnd => break,
            Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
            event if root.is_none() => root = Some(reader.node(event, at, span, 0)?),
            _ => return Err(Error::Yaml { at, detail: "a task file holds one document".into() }),
        }
    }
    root.ok_or(Error::Yaml { at: start, detail: "the file is empty".into() })
}

struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    file: &'a str,
    text: &'a str,
    by: &'a HashMap<usize, usize>,
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
}

impl<'a> Reader<'a> {
    fn place(&self, line: usize, column: usize) -> Place {
        let column = column.saturating_sub(self.by.get(&line).copied().unwrap_or(0));
        Place { file: self.file.into(), line: line.max(1) as u32, column: column as u32 + 1 }
    }

    fn next(&mut self) -> Result<(Event<'a>, Place, Span), Error> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((event, self.place(span.start.line(), span.start.col()), span)),
            Some(Err(error)) => {
                let at = self.place(error.marker().line(), error.marker().col());
                Err(Error::Yaml { at, detail: error.info().to_owned() })
            }
            None => Ok((Event::StreamEnd, self.place(1, 0), Span::default())),
        }
    }

    fn node(&mut self, event: Event<'a>, at: Place, span: Span, depth: usize) -> Result<Node, Error> {
        let fail = |at: &Place, detail: &str| Err(Error::Yaml { at: at.clone(), detail: detail.into() });
        if depth > MAX_DEPTH {
            return fail(&at, "nested too deeply");
        }
        self.nodes += 1;
        let before = self.nodes;
        let (anchor, data) = match event {
            Event::Alias(anchor) => {
                let Some((node, size)) = self.anchors.get(&anchor) else {
                    return fail(&at, "the alias names no value");
                };
                self.nodes += size;
                if self.nodes > MAX_NODES {
                    return fail(&at, "too many values");
                }
                return Ok(node.clone());
            }
            Event::Scalar(text, style, anchor, tag) => {
                let function = tag.as_ref().is_some_and(|tag| is_function(tag));
                if tag.is_some() && !function {
                    return fail(&at, "a tag is not supported");
                }
                let data =
                    if function { Data::Function(text.into_owned()) } else { self.scalar(&text, style, span, &at)? };
                (anchor, data)
            }
            Event::SequenceStart(anchor, None) => {
                let mut items = Vec::new();
                loop {
                    let (event, at, span) = self.next()?;
                    if event == Event::SequenceEnd {
                        break;
                    }
                    items.push(self.node(event, at, span, depth + 1)?);
                }
                (anchor, Data::List(items))
            }
            Event::MappingStart(anchor, None) => (anchor, self.mapping(depth)?),
            Event::SequenceStart(..) | Event::MappingStart(..) => return fail(&at, "a tag is not supported"),
            _ => return fail(&at, "a value was expected here"),
        };
        if self.nodes > MAX_NODES {
            return fail(&at, "too many values");
        }
        let node = Node { at, data };
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), self.nodes - before));
        }
        Ok(node)
    }

    fn mapping(&mut self, depth: usize) -> Result<Data, Error> {
        let mut pairs: Vec<(Key, Node)> = Vec::new();
        loop {
            let (event, at, span) = self.next()?;
            if event == Event::MappingEnd {
                return Ok(Data::Map(pairs));
            }
            let node = self.node(event, at, span, depth + 1)?;
            let Data::Scalar(value) = node.data else {
                return Err(Error::Yaml { at: node.at, detail: "a key must be a text".into() });
            };
            let key = Key { at: node.at, value };
            if key.value.text() == Some("<<") {
                return Err(Error::Yaml { at: key.at, detail: "`<<` is not supported".into() });
            }
            let (event, at, span) = self.next()?;
            let node = self.node(event, at, span, depth + 1)?;
            // As PyYAML does: of a key that stands twice the last value goes, where the first stood.
            match pairs.iter_mut().find(|(other, _)| other.value == key.value) {
                Some(pair) => *pair = (key, node),
                None => pairs.push((key, node)),
            }
        }
    }

    fn scalar(&self, text: &str, style: ScalarStyle, span: Span, at: &Place) -> Result<Data, Error> {
        if style != ScalarStyle::Plain {
            // A block that the file's end cuts off has no last line break to PyYAML; the parser gives it one.
            let block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
            let cut = block && !self.text.ends_with('\n') && span.end.line() >= self.text.lines().count();
            let text = text.strip_suffix('\n').filter(|_| cut).unwrap_or(text);
            return Ok(Data::Scalar(Value::Text(text.into())));
        }
        Ok(Data::Scalar(match scalar::resolve(text) {
            Scalar::Null => Value::None,
            Scalar::Flag(flag) => Value::Bool(flag),
            // YAML 1.1's floats have a point, its whole numbers none.
            Scalar::Number(number) if text.contains('.') => Value::Float(number),
            Scalar::Number(number) if number.abs() <= 9e15 => Value::Int(number as i64),
            Scalar::Number(_) => return Err(Error::Yaml { at: at.clone(), detail: "the number is too large".into() }),
            Scalar::Date => return Err(Error::Yaml { at: at.clone(), detail: "a date: put it in quotes".into() }),
            Scalar::Text(text) => Value::Text(text),
        }))
    }
}

fn is_function(tag: &Tag) -> bool {
    tag.handle == "!" && tag.suffix == "function"
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn value(text: &str) -> Result<Value, Error> {
        read("t.yaml", text).and_then(|node| node.value("root"))
    }

    #[test]
    fn a_file_is_read_as_pyyaml_reads_it() {
        let text = "a: [yes, 'yes', 010, 1.5, ~]\nb: |\n  x\n  y\nc: \"p\\nq\"\nd: &d {k: v}\ne: *d";
        let json = serde_json::json!({
            "a": [true, "yes", 8, 1.5, null], "b": "x\ny\n", "c": "p\nq", "d": {"k": "v"}, "e": {"k": "v"}
        });
        assert_eq!(value(text).unwrap(), Value::from(json));
        assert_eq!(value("b: |\n  x").unwrap().get("b"), Some(&Value::Text("x".into())));
    }

    #[test]
    fn of_a_key_that_stands_twice_the_last_value_goes_where_the_first_stood() {
        let json = serde_json::json!({"a": 3, "b": 2});
        let read = value("a: 1\nb: 2\na: 3").unwrap();
        assert_eq!(read, Value::from(json));
        assert_eq!(read.to_json().to_string(), "{\"a\":3,\"b\":2}");
    }

    /// What PyYAML makes of the same.
    #[test]
    fn lines_in_quotes_and_brackets_begin_anywhere() {
        let folded = "m:\n  a: \"x,\ny\\\"\n\n z\\\n w\"\n  b: 'it''s\nso'\n  c: [1,\n2, {k:\nv}\n]\nlast: [1";
        let json = serde_json::json!({"m": {"a": "x, y\"\nzw", "b": "it's so", "c": [1, 2, {"k": "v"}]}, "last": 1});
        assert_eq!(value(&folded.replace("[1\n", "[1]").replace("last: [1", "last: 1")).unwrap(), Value::from(json));
        // What is wrong behind it keeps its place.
        let Err(Error::Yaml { at, .. }) = value(folded) else { panic!("not refused") };
        assert_eq!(at.line, 14, "behind the last line");
        let Err(Error::Yaml { at, .. }) = value("m:\n  a: [1,\n2, !x y]") else { panic!("not refused") };
        assert_eq!((at.line, at.column), (3, 4));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_its_place() {
        let place = |text: &str| match value(text).unwrap_err() {
            Error::Yaml { at, .. } | Error::Function { at, .. } => (at.line, at.column),
            other => panic!("{other}"),
        };
        assert_eq!(place("a: 1\nb: !function utils.f"), (2, 4));
        assert_eq!(place("a: 1\nb: !other x"), (2, 4));
        assert_eq!(place("a: 2001-01-01"), (1, 4));
        assert_eq!(place("a: [1"), (2, 1));
        assert_eq!(place(""), (1, 1));
    }
}
