//! Documents: JSON Lines, or one JSON list, as the `json` loader that lm-evaluation-harness uses makes columns of them.

use super::{Error, Value};

/// The documents of one split: all have the same fields in the same order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Documents {
    /// Names of the fields, in the order in which they first occur.
    pub fields: Vec<String>,
    /// Mappings from all of the fields; a field that a document lacks is `None`.
    pub rows: Vec<Value>,
}

impl Documents {
    /// Reads files' documents one after the other: `(name, content)`.
    pub fn read(files: &[(&str, &[u8])]) -> Result<Self, Error> {
        let mut rows = Vec::new();
        for (name, bytes) in files {
            let before = rows.len();
            read_file(name, bytes, &mut rows)?;
            if rows.len() == before {
                return Err(Error::Empty { file: (*name).into() });
            }
        }
        Ok(Self::of(rows))
    }

    /// Makes numbers floats or whole as those of `first` are; the field of which one that is not whole would have to be.
    pub(super) fn follow(&mut self, first: &Self) -> Result<(), String> {
        for field in &first.fields {
            let theirs = first.rows.iter().filter_map(|row| row.get(field)).collect();
            let mut own = Vec::new();
            for row in &mut self.rows {
                if let Value::Map(pairs) = row {
                    own.extend(pairs.iter_mut().filter(|(name, _)| name == field).map(|(_, value)| value));
                }
            }
            follow(theirs, own).map_err(|NotWhole| field.clone())?;
        }
        Ok(())
    }

    fn of(rows: Vec<Vec<(String, Value)>>) -> Self {
        let mut fields: Vec<String> = Vec::new();
        for (name, _) in rows.iter().flatten() {
            if !fields.contains(name) {
                fields.push(name.clone());
            }
        }
        let mut columns: Vec<Vec<Value>> = fields.iter().map(|_| Vec::with_capacity(rows.len())).collect();
        for mut row in rows {
            for (column, field) in columns.iter_mut().zip(&fields) {
                let at = row.iter().position(|(name, _)| name == field);
                column.push(at.map_or(Value::None, |at| row.swap_remove(at).1));
            }
        }
        for column in &mut columns {
            let mut values: Vec<&mut Value> = column.iter_mut().collect();
            one_kind_of_number(&mut values);
        }
        let mut columns: Vec<_> = columns.into_iter().map(Vec::into_iter).collect();
        let mut rows = Vec::new();
        while let Some(row) = columns.iter_mut().map(Iterator::next).collect::<Option<Vec<Value>>>() {
            if row.is_empty() {
                break;
            }
            rows.push(Value::Map(fields.iter().cloned().zip(row).collect()));
        }
        Self { fields, rows }
    }
}

/// Whole numbers become floats where a column has both, in lists and in mappings of the same keys as well.
fn one_kind_of_number(column: &mut [&mut Value]) {
    let there = || column.iter().filter(|value| !matches!(value, Value::None));
    if there().all(|value| matches!(value, Value::Int(_) | Value::Float(_))) {
        if there().any(|value| matches!(value, Value::Float(_))) {
            for value in column {
                if let Value::Int(number) = value {
                    **value = Value::Float(*number as f64);
                }
            }
        }
    } else if there().all(|value| matches!(value, Value::List(_))) {
        let mut items: Vec<&mut Value> = Vec::new();
        for value in column {
            if let Value::List(list) = value {
                items.extend(list.iter_mut());
            }
        }
        one_kind_of_number(&mut items);
    } else if there().all(|value| matches!(value, Value::Map(_))) {
        let keys = |value: &Value| match value {
            Value::Map(pairs) => pairs.iter().map(|(key, _)| key.clone()).collect(),
            _ => Vec::new(),
        };
        let Some(first) = there().next().map(|value| keys(value)) else { return };
        // Mappings of different keys are kept as they are written.
        if !there().all(|value| keys(value).len() == first.len() && first.iter().all(|key| value.get(key).is_some())) {
            return;
        }
        for key in first {
            let mut inner: Vec<&mut Value> = Vec::new();
            for value in column.iter_mut() {
                if let Value::Map(pairs) = value {
                    inner.extend(pairs.iter_mut().filter(|(name, _)| *name == key).map(|(_, value)| value));
                }
            }
            one_kind_of_number(&mut inner);
        }
    }
}

struct NotWhole;

/// Of one column, or of what its lists and mappings hold.
fn follow(mut theirs: Vec<&Value>, own: Vec<&mut Value>) -> Result<(), NotWhole> {
    theirs.retain(|value| **value != Value::None);
    let Some(kind) = theirs.first() else { return Ok(()) };
    match kind {
        Value::Int(_) | Value::Float(_) => {
            let floats = theirs.iter().any(|value| matches!(value, Value::Float(_)));
            for value in own {
                match value {
                    Value::Int(number) if floats => *value = Value::Float(*number as f64),
                    Value::Float(number) if !floats && number.fract() == 0.0 => *value = Value::Int(*number as i64),
                    Value::Float(_) if !floats => return Err(NotWhole),
                    _ => {}
                }
            }
        }
        Value::List(_) => {
            let theirs = theirs.iter().filter_map(|value| value.list()).flatten().collect();
            let mut items: Vec<&mut Value> = Vec::new();
            for value in own {
                if let Value::List(list) = value {
                    items.extend(list);
                }
            }
            follow(theirs, items)?;
        }
        Value::Map(pairs) => {
            // Mappings of different keys are kept as they are written.
            let same = |value: &Value| match value {
                Value::Map(other) => {
                    other.len() == pairs.len() && pairs.iter().all(|(key, _)| value.get(key).is_some())
                }
                _ => false,
            };
            if !theirs.iter().all(|value| same(value)) {
                return Ok(());
            }
            let mut maps: Vec<&mut Vec<(String, Value)>> = Vec::new();
            for value in own {
                if let Value::Map(map) = value {
                    maps.push(map);
                }
            }
            for (key, _) in pairs {
                let theirs = theirs.iter().filter_map(|value| value.get(key)).collect();
                let inner = maps.iter_mut().flat_map(|map| map.iter_mut());
                follow(theirs, inner.filter(|(name, _)| name == key).map(|(_, value)| value).collect())?;
            }
        }
        _ => {}
    }
    Ok(())
}

type Row = Vec<(String, Value)>;

fn read_file(name: &str, bytes: &[u8], rows: &mut Vec<Row>) -> Result<(), Error> {
    let error = |line: usize, detail: String| Error::Data { file: name.into(), line, detail };
    let text = std::str::from_utf8(bytes).map_err(|wrong| {
        let line = bytes[..wrong.valid_up_to()].split(|byte| *byte == b'\n').count();
        error(line, "the file is not UTF-8".into())
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let row = |json: serde_json::Value, line: usize| match Value::from(json) {
        Value::Map(pairs) => Ok(pairs),
        _ => Err(error(line, "a document must be a mapping of fields".into())),
    };
    if text.trim_start().starts_with('[') {
        let items: Vec<serde_json::Value> =
            serde_json::from_str(text).map_err(|wrong| error(wrong.line(), wrong.to_string()))?;
        for item in items {
            rows.push(row(item, 0)?);
        }
        return Ok(());
    }
    for (index, line) in text.split('\n').enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let json = serde_json::from_str(line).map_err(|wrong| {
            let detail = wrong.to_string();
            let detail = detail.split(" at line ").next().unwrap_or("not JSON");
            error(index + 1, format!("{detail} (character {})", wrong.column()))
        })?;
        rows.push(row(json, index + 1)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn read(text: &str) -> Result<Documents, Error> {
        Documents::read(&[("d.jsonl", text.as_bytes())])
    }

    fn json(text: &str) -> Value {
        Value::from(serde_json::from_str::<serde_json::Value>(text).unwrap())
    }

    #[test]
    fn documents_have_all_fields_and_one_kind_of_number() {
        let documents = read("{\"b\": 1, \"c\": [1, 2]}\n\n{\"a\": {\"x\": 1}, \"b\": 0.5, \"c\": [0.5]}\n").unwrap();
        assert_eq!(documents.fields, ["b", "c", "a"]);
        assert_eq!(
            documents.rows,
            [
                json("{\"b\": 1.0, \"c\": [1.0, 2.0], \"a\": null}"),
                json("{\"b\": 0.5, \"c\": [0.5], \"a\": {\"x\": 1}}"),
            ]
        );
        // Of different kinds, or of mappings with different keys, each keeps its own.
        let documents = read("{\"a\": 1, \"m\": {\"x\": 1}}\n{\"a\": \"1\", \"m\": {\"x\": 0.5, \"y\": 2}}").unwrap();
        assert_eq!(documents.rows[0], json("{\"a\": 1, \"m\": {\"x\": 1}}"));
    }

    #[test]
    fn a_list_in_one_file_is_read_and_files_follow_each_other() {
        let files: [(&str, &[u8]); 2] = [("a.json", b"[{\"a\": 1},\n {\"a\": 2}]"), ("b.jsonl", b"{\"a\": 3}")];
        assert_eq!(Documents::read(&files).unwrap().rows.len(), 3);
    }

    #[test]
    fn what_is_no_document_is_refused_with_its_line() {
        let line = |text: &str| match read(text).unwrap_err() {
            Error::Data { line, .. } => line,
            other => panic!("{other}"),
        };
        assert_eq!(line("{\"a\": 1}\n{\"a\": }\n"), 2);
        assert_eq!(line("{\"a\": 1}\n\n3\n"), 3);
        assert!(matches!(read("\n\n"), Err(Error::Empty { .. })));
        assert!(matches!(Documents::read(&[("d", b"{\"a\": \"\xff\"}")]), Err(Error::Data { line: 1, .. })));
    }
}
