//! Changing a JSON text in place: a member is set or taken out, and every other byte stays as it stands.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// Where an object's members stand in a text.
struct Object {
    /// The byte after its opening brace.
    inside: usize,
    /// Its members in order: the name, and where the value stands.
    members: Vec<(String, (usize, usize))>,
}

/// The object at `path`, if there is one.
fn object(text: &str, path: &[&str]) -> Option<Object> {
    let mut part = text.trim_start();
    for key in path {
        let members: BTreeMap<String, &RawValue> = serde_json::from_str(part).ok()?;
        part = members.get(*key)?.get();
    }
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(part).ok()?;
    let offset = |inner: &str| inner.as_ptr() as usize - text.as_ptr() as usize;
    let places = members.into_iter().map(|(name, value)| {
        let start = offset(value.get());
        (name, (start, start + value.get().len()))
    });
    let members = crate::format::in_order(places.collect(), |(_, (start, _))| *start as u64);
    Some(Object { inside: offset(part) + 1, members })
}

/// The JSON text of the member at `path`.
pub fn get<'a>(text: &'a str, path: &[&str]) -> Option<&'a str> {
    let (last, parents) = path.split_last()?;
    let object = object(text, parents)?;
    let (start, end) = object.members.into_iter().find(|(name, _)| name == last)?.1;
    Some(&text[start..end])
}

/// `text` with the member at `path` set to `value`, a JSON text, if there is such a member; else `text` as it is.
pub fn replace(text: &str, path: &[&str], value: &str) -> String {
    if get(text, path).is_some() { set(text, path, value) } else { text.to_owned() }
}

/// `text` with the member at `path` set to `value`, a JSON text. A new member is written behind the last, in the same style.
///
/// Where `path` leads through something that is not there or is no object, `text` comes back as it is.
pub fn set(text: &str, path: &[&str], value: &str) -> String {
    let mut edited = text.to_owned();
    let Some((last, parents)) = path.split_last() else { return edited };
    let Some(object) = object(text, parents) else { return edited };
    if let Some((_, (start, end))) = object.members.iter().find(|(name, _)| name == last) {
        edited.replace_range(start..end, value);
        return edited;
    }
    let name = serde_json::Value::from(*last);
    match object.members.last() {
        Some((_, (_, end))) => {
            let space = space(&text[object.inside..]);
            edited.insert_str(*end, &format!(",{}{name}: {value}", if space.is_empty() { " " } else { space }));
        }
        None => edited.insert_str(object.inside, &format!("{name}: {value}")),
    }
    edited
}

/// The white space that `text` begins with.
fn space(text: &str) -> &str {
    &text[..text.len() - text.trim_start().len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_set_and_every_other_byte_stays() {
        let text = "\n {\n  \"a\":   1e-05,\n  \"b\": {\"c\" : [1,2]}\n}\n";
        assert_eq!(set(text, &["a"], "2"), text.replace("1e-05", "2"));
        assert_eq!(set(text, &["b", "c"], "null"), text.replace("[1,2]", "null"));
        assert_eq!(get(text, &["b", "c"]), Some("[1,2]"));
    }

    #[test]
    fn a_new_member_is_written_behind_the_last() {
        let text = "{\n  \"a\": 1,\n  \"b\": {}\n}\n";
        assert_eq!(set(text, &["c"], "\"x\""), "{\n  \"a\": 1,\n  \"b\": {},\n  \"c\": \"x\"\n}\n");
        assert_eq!(set(text, &["b", "d"], "0"), "{\n  \"a\": 1,\n  \"b\": {\"d\": 0}\n}\n");
        assert_eq!(replace(text, &["c"], "1"), text);
    }

    #[test]
    fn what_is_no_object_is_left_alone() {
        for text in ["", "[{\"a\": 1}]", "{\"a\": 1", "null", "{\"b\": 3}"] {
            for edited in [set(text, &["b", "a"], "7"), replace(text, &["a"], "7")] {
                assert_eq!(edited, text);
            }
        }
        assert_eq!(get("{\"a\": 1", &["a"]), None);
    }
}
