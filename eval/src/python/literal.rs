//! `ast.literal_eval`: what a rendered list says.

use crate::task::Value;

/// Deepest nesting.
const MAX_DEPTH: usize = 32;

/// Why a text is no literal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LiteralError {
    #[error("a value was expected at character {at}")]
    Value { at: usize },
    #[error("`{wanted}` was expected at character {at}")]
    Expected { wanted: char, at: usize },
    #[error("the text that begins at character {at} has no end")]
    Unclosed { at: usize },
    #[error("an escape at character {at} names no character")]
    Escape { at: usize },
    #[error("the number at character {at} is none that fits 64 bits")]
    Number { at: usize },
    #[error("bytes, sets, formatted texts and keys that are no texts are not supported (character {at})")]
    Unsupported { at: usize },
    #[error("nested deeper than {MAX_DEPTH}")]
    Deep,
    #[error("more follows the value at character {at}")]
    More { at: usize },
}

type Read<T> = Result<T, LiteralError>;

/// The value that `text` writes: texts, numbers, `None`, `True`, `False`, lists, tuples (as lists) and mappings from texts.
pub(crate) fn evaluate(text: &str) -> Read<Value> {
    let characters: Vec<char> = text.trim_start_matches([' ', '\t']).chars().collect();
    let mut reader = Reader { characters, at: 0 };
    let first = reader.value(0)?;
    reader.blank();
    // `1, 2` is a tuple without parentheses.
    let value = if reader.peek() == Some(',') {
        reader.at += 1;
        let mut items = vec![first];
        items.extend(reader.items(None, 1)?);
        Value::List(items)
    } else {
        first
    };
    reader.blank();
    if reader.at < reader.characters.len() { Err(LiteralError::More { at: reader.at }) } else { Ok(value) }
}

struct Reader {
    characters: Vec<char>,
    at: usize,
}

impl Reader {
    fn peek(&self) -> Option<char> {
        self.characters.get(self.at).copied()
    }

    fn blank(&mut self) {
        while self.peek().is_some_and(|c| matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{c}')) {
            self.at += 1;
        }
    }

    fn expect(&mut self, wanted: char) -> Read<()> {
        self.blank();
        if self.peek() == Some(wanted) {
            self.at += 1;
            Ok(())
        } else {
            Err(LiteralError::Expected { wanted, at: self.at })
        }
    }

    fn word(&self) -> String {
        self.characters[self.at..].iter().take_while(|c| c.is_alphanumeric() || **c == '_').collect()
    }

    fn value(&mut self, depth: usize) -> Read<Value> {
        if depth > MAX_DEPTH {
            return Err(LiteralError::Deep);
        }
        self.blank();
        let at = self.at;
        match self.peek() {
            Some('[') => {
                self.at += 1;
                let items = self.items(Some(']'), depth + 1)?;
                Ok(Value::List(items))
            }
            Some('(') => self.parenthesis(depth),
            Some('{') => self.mapping(depth),
            Some('\'' | '"') => self.texts(),
            Some('+' | '-' | '.' | '0'..='9') => self.number(),
            _ => {
                let word = self.word();
                let value = match word.as_str() {
                    "None" => Value::None,
                    "True" => Value::Bool(true),
                    "False" => Value::Bool(false),
                    _ if matches!(self.characters.get(at + word.chars().count()), Some('\'' | '"')) => {
                        return self.texts();
                    }
                    _ => return Err(LiteralError::Value { at }),
                };
                self.at += word.len();
                Ok(value)
            }
        }
    }

    /// Values with commas between them, up to `end`, or to the end of the text.
    fn items(&mut self, end: Option<char>, depth: usize) -> Read<Vec<Value>> {
        let mut items = Vec::new();
        loop {
            self.blank();
            if self.peek() == end {
                self.at += usize::from(end.is_some());
                return Ok(items);
            }
            items.push(self.value(depth)?);
            self.blank();
            if self.peek() != end {
                self.expect(',')?;
            }
        }
    }

    fn parenthesis(&mut self, depth: usize) -> Read<Value> {
        self.at += 1;
        self.blank();
        if self.peek() == Some(')') {
            self.at += 1;
            return Ok(Value::List(Vec::new()));
        }
        let first = self.value(depth + 1)?;
        self.blank();
        if self.peek() == Some(')') {
            self.at += 1;
            return Ok(first);
        }
        self.expect(',')?;
        let mut items = vec![first];
        items.extend(self.items(Some(')'), depth + 1)?);
        Ok(Value::List(items))
    }

    fn mapping(&mut self, depth: usize) -> Read<Value> {
        self.at += 1;
        let mut pairs: Vec<(String, Value)> = Vec::new();
        loop {
            self.blank();
            if self.peek() == Some('}') {
                self.at += 1;
                return Ok(Value::Map(pairs));
            }
            let at = self.at;
            let Value::Text(key) = self.value(depth + 1)? else { return Err(LiteralError::Unsupported { at }) };
            self.blank();
            if matches!(self.peek(), Some(',' | '}')) {
                return Err(LiteralError::Unsupported { at });
            }
            self.expect(':')?;
            let value = self.value(depth + 1)?;
            pairs.retain(|(other, _)| *other != key);
            pairs.push((key, value));
            self.blank();
            if self.peek() != Some('}') {
                self.expect(',')?;
            }
        }
    }

    fn number(&mut self) -> Read<Value> {
        let at = self.at;
        let mut negative = false;
        while let Some(sign @ ('+' | '-')) = self.peek() {
            negative ^= sign == '-';
            self.at += 1;
            self.blank();
        }
        let mut digits = String::new();
        while let Some(character) = self.peek() {
            let exponent = matches!(digits.chars().last(), Some('e' | 'E')) && !digits.starts_with("0x");
            if !(character.is_ascii_alphanumeric()
                || matches!(character, '.' | '_')
                || exponent && "+-".contains(character))
            {
                break;
            }
            digits.push(character);
            self.at += 1;
        }
        let sound = |digits: &str| !digits.starts_with('_') && !digits.ends_with('_') && !digits.contains("__");
        let error = LiteralError::Number { at };
        if !sound(&digits) {
            return Err(error);
        }
        let plain = digits.replace('_', "").to_ascii_lowercase();
        let radix = |digits: &str, radix: u32| i64::from_str_radix(digits, radix).map_err(|_| error);
        let magnitude = match plain.get(..2) {
            Some("0x") => Value::Int(radix(&plain[2..], 16)?),
            Some("0o") => Value::Int(radix(&plain[2..], 8)?),
            Some("0b") => Value::Int(radix(&plain[2..], 2)?),
            _ if plain.chars().all(|c| c.is_ascii_digit()) => {
                // `07` is no number, `00` is.
                if plain.starts_with('0') && plain.chars().any(|c| c != '0') {
                    return Err(error);
                }
                Value::Int(plain.parse().map_err(|_| error)?)
            }
            _ if plain.chars().all(|c| c.is_ascii_digit() || ".e+-".contains(c)) => {
                Value::Float(plain.parse().map_err(|_| error)?)
            }
            _ => return Err(error),
        };
        Ok(match magnitude {
            Value::Int(number) if negative => Value::Int(-number),
            Value::Float(number) if negative => Value::Float(-number),
            other => other,
        })
    }

    /// Texts that stand beside each other are one.
    fn texts(&mut self) -> Read<Value> {
        let mut joined = String::new();
        loop {
            let at = self.at;
            let prefix = self.word().to_ascii_lowercase();
            let raw = match prefix.as_str() {
                "" | "u" => false,
                "r" => true,
                _ => return Err(LiteralError::Unsupported { at }),
            };
            self.at += prefix.len();
            self.quoted(raw, &mut joined)?;
            self.blank();
            let ahead = self.at + self.word().chars().count();
            if !matches!(self.characters.get(ahead), Some('\'' | '"')) {
                return Ok(Value::Text(joined));
            }
        }
    }

    fn quoted(&mut self, raw: bool, text: &mut String) -> Read<()> {
        let start = self.at;
        let unclosed = LiteralError::Unclosed { at: start };
        let quote = self.peek().ok_or(unclosed)?;
        let triple = self.characters[start..].starts_with(&[quote; 3]);
        let length = if triple { 3 } else { 1 };
        self.at += length;
        loop {
            let character = self.peek().ok_or(unclosed)?;
            if character == quote && (!triple || self.characters[self.at..].starts_with(&[quote; 3])) {
                self.at += length;
                return Ok(());
            }
            if character == '\n' && !triple {
                return Err(unclosed);
            }
            self.at += 1;
            if character != '\\' {
                text.push(character);
            } else if raw {
                text.push('\\');
                text.push(self.peek().ok_or(unclosed)?);
                self.at += 1;
            } else {
                self.escape(text)?;
            }
        }
    }

    fn escape(&mut self, text: &mut String) -> Read<()> {
        let at = self.at - 1;
        let character = self.peek().ok_or(LiteralError::Escape { at })?;
        self.at += 1;
        let plain = match character {
            '\n' => return Ok(()),
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'a' => '\u{7}',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'v' => '\u{b}',
            '\\' | '\'' | '"' => character,
            'x' => self.coded(2, 16, at)?,
            'u' => self.coded(4, 16, at)?,
            'U' => self.coded(8, 16, at)?,
            '0'..='7' => {
                self.at -= 1;
                let more = self.characters[self.at..].iter().take(3).take_while(|c| c.is_digit(8)).count();
                self.coded(more, 8, at)?
            }
            'N' => return Err(LiteralError::Escape { at }),
            // An escape that is none keeps its backslash.
            other => {
                text.push('\\');
                other
            }
        };
        text.push(plain);
        Ok(())
    }

    fn coded(&mut self, digits: usize, radix: u32, at: usize) -> Read<char> {
        let error = LiteralError::Escape { at };
        let written: String = self.characters.get(self.at..self.at + digits).ok_or(error)?.iter().collect();
        self.at += digits;
        u32::from_str_radix(&written, radix).ok().and_then(char::from_u32).ok_or(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::Text(text.into())
    }

    #[test]
    fn literals_are_what_python_reads() {
        use Value::{Bool, Float, Int, List, Map, None};
        for (written, expected) in [
            (r#"['a', "b"]"#, List(vec![text("a"), text("b")])),
            (r#"["it's", 'a "b"']"#, List(vec![text("it's"), text("a \"b\"")])),
            (
                r"['it\'s', '\\n', '\n', '\x41é\U0001f600\101\q']",
                List(vec![text("it's"), text("\\n"), text("\n"), text("Aé\u{1f600}A\\q")]),
            ),
            (
                "  [1, -2, +3, 1.5, -.5, 1e3, 0x1F, 1_000, 00]",
                List(vec![Int(1), Int(-2), Int(3), Float(1.5), Float(-0.5), Float(1000.0), Int(31), Int(1000), Int(0)]),
            ),
            ("[None, True, False]", List(vec![None, Bool(true), Bool(false)])),
            (
                "[('a', ['b']), (1,), (2), ()]",
                List(vec![List(vec![text("a"), List(vec![text("b")])]), List(vec![Int(1)]), Int(2), List(vec![])]),
            ),
            ("1, 2", List(vec![Int(1), Int(2)])),
            ("{'a': 1, 'b': [2]}", Map(vec![("a".into(), Int(1)), ("b".into(), List(vec![Int(2)]))])),
            ("['a' 'b',\n r'\\n', u'c', '''x\ny''',]", List(vec![text("ab"), text("\\n"), text("c"), text("x\ny")])),
            ("7", Int(7)),
        ] {
            assert_eq!(evaluate(written), Ok(expected), "{written}");
        }
    }

    #[test]
    fn what_python_refuses_is_refused() {
        for written in [
            "",
            "[",
            "['a'",
            "['a\nb']",
            "[a]",
            "07",
            "['a'] x",
            "[1 2]",
            "1__0",
            "{'a', 'b'}",
            "b'x'",
            "f'x'",
            "{1: 2}",
            r"'\x4'",
            "[1, ,2]",
            "9223372036854775808",
            "1j",
        ] {
            assert!(evaluate(written).is_err(), "{written}");
        }
        assert_eq!(evaluate(&"[".repeat(40)), Err(LiteralError::Deep));
    }
}
