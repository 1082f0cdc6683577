//! Reading a task file's values by their kind, each complaint with its place.

use super::yaml::{Data, Key, Node};
use super::{Error, Value};
use crate::python::text::display;

fn wrong<T>(node: &Node, key: &str, wanted: &'static str) -> Result<T, Error> {
    match &node.data {
        Data::Function(function) => {
            Err(Error::Function { at: node.at.clone(), key: key.into(), function: function.clone() })
        }
        _ => Err(Error::WrongKind { at: node.at.clone(), key: key.into(), wanted }),
    }
}

/// `None` where nothing is set.
pub(super) fn set(node: &Node) -> Option<&Node> {
    (!matches!(node.data, Data::Scalar(Value::None))).then_some(node)
}

pub(super) fn text(node: &Node, key: &str) -> Result<String, Error> {
    match &node.data {
        Data::Scalar(Value::Text(text)) => Ok(text.clone()),
        _ => wrong(node, key, "a text"),
    }
}

pub(super) fn text_or_none(node: &Node, key: &str) -> Result<Option<String>, Error> {
    set(node).map(|node| text(node, key)).transpose()
}

pub(super) fn flag(node: &Node, key: &str) -> Result<bool, Error> {
    match &node.data {
        Data::Scalar(Value::Bool(flag)) => Ok(*flag),
        _ => wrong(node, key, "true or false"),
    }
}

pub(super) fn whole(node: &Node, key: &str) -> Result<i64, Error> {
    match &node.data {
        Data::Scalar(Value::Int(number)) => Ok(*number),
        _ => wrong(node, key, "a whole number"),
    }
}

pub(super) fn count(node: &Node, key: &str) -> Result<usize, Error> {
    usize::try_from(whole(node, key)?).or_else(|_| wrong(node, key, "a whole number that is not negative"))
}

pub(super) fn number(node: &Node, key: &str) -> Result<f64, Error> {
    match &node.data {
        Data::Scalar(Value::Int(number)) => Ok(*number as f64),
        Data::Scalar(Value::Float(number)) => Ok(*number),
        // YAML 1.1 takes `1e-3` for a text, Python's float() takes the text for a number.
        Data::Scalar(Value::Text(text)) => text.trim().parse().or_else(|_| wrong(node, key, "a number")),
        _ => wrong(node, key, "a number"),
    }
}

pub(super) fn list<'a>(node: &'a Node, key: &str) -> Result<&'a [Node], Error> {
    match &node.data {
        Data::List(items) => Ok(items),
        _ => wrong(node, key, "a list"),
    }
}

/// A text alone, or a list of texts.
pub(super) fn texts(node: &Node, key: &str) -> Result<Vec<String>, Error> {
    match &node.data {
        Data::List(items) => items.iter().map(|item| text(item, key)).collect(),
        Data::Scalar(Value::Text(text)) => Ok(vec![text.clone()]),
        _ => wrong(node, key, "a text or a list of texts"),
    }
}

pub(super) fn map<'a>(node: &'a Node, key: &str) -> Result<&'a [(Key, Node)], Error> {
    match &node.data {
        Data::Map(pairs) => Ok(pairs),
        _ => wrong(node, key, "a mapping"),
    }
}

/// A key's name; one that is no text stands for what Python would write.
pub(super) fn name(key: &Key) -> String {
    display(&key.value)
}

pub(super) fn unknown<T>(key: &Key, under: &str) -> Result<T, Error> {
    let name = name(key);
    let key_name = if under.is_empty() { name } else { format!("{under}.{name}") };
    Err(Error::UnknownKey { at: key.at.clone(), key: key_name })
}

pub(super) fn unsupported<T>(key: &Key, why: &'static str) -> Result<T, Error> {
    Err(Error::UnsupportedKey { at: key.at.clone(), key: name(key), why })
}

pub(super) fn unsupported_value<T>(node: &Node, key: &str, why: &'static str) -> Result<T, Error> {
    let value = match &node.data {
        Data::Scalar(value) => display(value),
        Data::List(_) => "[…]".into(),
        Data::Map(_) => "{…}".into(),
        Data::Function(function) => format!("!function {function}"),
    };
    Err(Error::UnsupportedValue { at: node.at.clone(), key: key.into(), value, why })
}
