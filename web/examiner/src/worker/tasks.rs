//! Task files that were given together.

use std::path::Path;
use std::sync::Arc;

use merge_studio_eval::task::builtin::{self, BuiltIn};
use merge_studio_eval::task::{self, Documents, Group, Task};
use merge_studio_web::io::WebFile;
use merge_studio_web::wire;
use web_sys::Blob;

/// What files given together are.
#[derive(Default)]
pub struct Batch {
    pub tasks: Vec<Given>,
    pub groups: Vec<Group>,
}

/// A file: name and content.
type File<'a> = (&'a str, &'a [u8]);

/// A task, or a file that is none.
pub struct Given {
    pub file: String,
    pub task: Result<Arc<Task>, String>,
    pub is_public: bool,
}

/// Reads files. Of several public tasks that a data file's fields fit it is the one that the file's name names.
pub fn open(names: &[String], blobs: &[Blob]) -> Batch {
    let mut batch = Batch::default();
    let mut files: Vec<(&str, Vec<u8>)> = Vec::new();
    for (name, blob) in names.iter().zip(blobs) {
        match kind(name).and_then(|()| read(blob)) {
            Ok(bytes) => files.push((name, bytes)),
            Err(why) => batch.add(name, Err(why), false),
        }
    }
    let files: Vec<File<'_>> = files.iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect();
    let has_task_file = files.iter().any(|(name, _)| {
        let extension = Path::new(name).extension();
        extension
            .is_some_and(|extension| extension.eq_ignore_ascii_case("yaml") || extension.eq_ignore_ascii_case("yml"))
    });
    if has_task_file {
        for (file, task) in task::open(&files) {
            batch.add(&file, task.map_err(|error| error.to_string()), false);
        }
        return batch;
    }
    let mut public: Vec<(&'static BuiltIn, Vec<File<'_>>)> = Vec::new();
    for file @ (name, bytes) in files {
        match named(name, bytes) {
            Named::One(built_in) => match public.iter_mut().find(|(other, _)| other.name == built_in.name) {
                Some((_, files)) => files.push(file),
                None => public.push((built_in, vec![file])),
            },
            Named::Plain => {
                batch.add(name, Task::plain(name, bytes).map_err(|error| error.to_string()), false);
            }
            Named::Several(names) => batch.add(name, Err(several(&names)), false),
        }
    }
    for (built_in, files) in public {
        match builtin::open(built_in.name, &files) {
            Ok((tasks, groups)) => {
                for task in tasks {
                    batch.add(built_in.name, Ok(task), true);
                }
                batch.groups.extend(groups);
            }
            Err(error) => batch.add(files[0].0, Err(error.to_string()), true),
        }
    }
    batch
}

impl Batch {
    fn add(&mut self, file: &str, task: Result<Task, String>, is_public: bool) {
        self.tasks.push(Given { file: file.to_owned(), task: task.map(Arc::new), is_public });
    }
}

/// What a data file alone is.
enum Named {
    /// A kind of its own, or none.
    Plain,
    One(&'static BuiltIn),
    Several(Vec<&'static str>),
}

fn named(name: &str, bytes: &[u8]) -> Named {
    let Ok(documents) = Documents::read(&[(name, bytes)]) else { return Named::Plain };
    let fitting: Vec<&'static BuiltIn> = builtin::fitting(&documents.fields).collect();
    let file = name.to_ascii_lowercase().replace('-', "_");
    let is_named =
        |built_in: &&&BuiltIn| file.contains(built_in.name) || built_in.aliases.iter().any(|name| file.contains(name));
    match (fitting.iter().find(is_named), fitting.as_slice()) {
        (Some(built_in), _) => Named::One(built_in),
        (None, []) => Named::Plain,
        (None, _) if Task::plain(name, bytes).is_ok() => Named::Plain,
        (None, [one]) => Named::One(one),
        (None, several) => Named::Several(several.iter().map(|built_in| built_in.name).collect()),
    }
}

fn several(names: &[&str]) -> String {
    format!("its fields are those of {}: the file's name must say which", names.join(" and of "))
}

/// What is read here, by the ends of files' names. A name without one is tried.
const READ: [&str; 4] = ["yaml", "yml", "jsonl", "json"];
/// Ends of tables' names.
const TABLES: [&str; 6] = ["csv", "tsv", "parquet", "arrow", "xlsx", "xls"];

/// Why a file of this name is not looked into.
fn kind(name: &str) -> Result<(), String> {
    let Some(extension) = Path::new(name).extension() else { return Ok(()) };
    let is_one_of = |known: &[&str]| known.iter().any(|known| extension.eq_ignore_ascii_case(known));
    if is_one_of(&READ) {
        Ok(())
    } else if is_one_of(&TABLES) {
        Err("tables are not read. Save it as JSON Lines (.jsonl): an object a line, as {\"question\": …, \"answer\": …}".to_owned())
    } else {
        Err("it is no task: tasks are .yaml, .jsonl or .json files. Models are added under Merge".to_owned())
    }
}

fn read(blob: &Blob) -> Result<Vec<u8>, String> {
    let file = WebFile::new(blob.clone()).map_err(|error| wire::words(&error))?;
    let mut bytes = vec![0; blob.size() as usize];
    file.read_now(0, &mut bytes).map_err(|error| error.to_string())?;
    Ok(bytes)
}
