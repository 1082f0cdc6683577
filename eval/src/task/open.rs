//! Files given together: which of them are tasks.

use super::yaml::Data;
use super::{Error, Task, fields, yaml};

/// The tasks that files `(name, content)` make, each under the name of its file: every YAML file that no other includes; where there
/// is no YAML file, every data file alone ([`Task::plain`]). What cannot be evaluated says why.
pub fn open(files: &[(&str, &[u8])]) -> Vec<(String, Result<Task, Error>)> {
    let is_yaml = |name: &str| {
        let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
        matches!(extension.as_deref(), Some("yaml" | "yml"))
    };
    let written: Vec<&str> = files.iter().map(|(name, _)| *name).filter(|name| is_yaml(name)).collect();
    if written.is_empty() {
        return files.iter().map(|(name, bytes)| ((*name).to_owned(), Task::plain(name, bytes))).collect();
    }
    let included: Vec<String> = files
        .iter()
        .filter(|(name, _)| is_yaml(name))
        .flat_map(|(name, bytes)| includes(name, bytes).unwrap_or_default())
        .collect();
    let last = |path: &str| path.rsplit(['/', '\\']).next().unwrap_or_default().to_owned();
    written
        .into_iter()
        .filter(|name| !included.iter().any(|other| last(other) == last(name)))
        .map(|name| (name.to_owned(), Task::read(name, files)))
        .collect()
}

/// The files that a task file includes; a file that cannot be read says so when it is read as a task.
fn includes(name: &str, bytes: &[u8]) -> Option<Vec<String>> {
    let node = yaml::read(name, std::str::from_utf8(bytes).ok()?).ok()?;
    let Data::Map(pairs) = node.data else { return None };
    let include = pairs.iter().find(|(key, _)| key.value.text() == Some("include"));
    include.and_then(|(_, node)| fields::texts(node, "include").ok())
}
