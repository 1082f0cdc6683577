//! The structure of a recipe from its words alone: which keys may stand where, whatever the indentation says.

use super::tidy::Tidied;
use super::{RefusedReason, RepairKind, RepairNote};
use crate::recipe::check::words;
use crate::recipe::problem::Place;
use crate::recipe::{MethodInfo, suggest};

/// A line's place in the recipe.
struct Item {
    /// The line in the text as it was.
    line: usize,
    /// The text without indentation.
    text: String,
    /// How far it was indented.
    indent_was: usize,
    role: Role,
}

enum Role {
    Top {
        key: String,
    },
    Model,
    /// `sources:`, with which a slice begins.
    Slice,
    /// `model` or `layer_range` of a source, and whether the source begins with it.
    Source {
        key: String,
        begins: bool,
    },
    /// `parameters:`, the number of its block, and the model before it in the list, to which it may belong.
    Parameters {
        block: usize,
    },
    /// An entry of `parameters` or of a filter list, or an item of a gradient; `depth` levels below `parameters`.
    Inside {
        block: usize,
        key: String,
        depth: usize,
    },
    Comment,
}

/// A `parameters` and whom it may belong to.
struct Block {
    line: usize,
    /// The model above it, if it may be that model's.
    model: Option<String>,
    /// Whether it may be the recipe's own.
    may_be_shared: bool,
    /// That model is the source of a slice.
    in_slice: bool,
    /// It may as well be the slice's: there are sources above that have none.
    may_be_slices: bool,
}

/// The lines of a recipe in their roles. What is open is only whose each block of parameters is.
pub(super) struct Outline {
    items: Vec<Item>,
    blocks: Vec<Block>,
    slices: usize,
}

/// One way to indent the recipe.
pub(super) struct Built {
    pub(super) text: String,
    pub(super) notes: Vec<RepairNote>,
    /// The block that was made the recipe's own although it follows a model: its line and that model.
    pub(super) shared: Option<(usize, String)>,
}

/// What the lines so far have opened.
#[derive(Default)]
struct Open {
    /// Top-level keys that stand already.
    seen: Vec<String>,
    /// The list of models is open.
    in_models: bool,
    /// The list of slices is open.
    in_slices: bool,
    /// The source that is open: whether it has a model, and a range.
    source: Option<(bool, bool)>,
    /// Sources of the open slice that are complete, and have no block.
    bare_sources: usize,
    /// The last model of the list, while it is open.
    model: Option<String>,
    /// That model has a block already.
    model_has_block: bool,
    /// The block that is open, and its settings so far.
    block: Option<(usize, Vec<String>)>,
    awaits: Awaits,
}

/// What may stand under the last setting.
#[derive(Clone, Copy, Default, PartialEq)]
enum Awaits {
    /// Nothing: it has its value.
    #[default]
    Nothing,
    /// Filter entries or the values of a gradient.
    Entries,
    /// The value of the filter entry.
    Value,
    /// The values of a gradient in an entry, or another entry.
    Items,
}

/// Gives every line its role.
pub(super) fn outline(tidied: &Tidied<'_>, methods: &[MethodInfo]) -> Result<Outline, RefusedReason> {
    let mut outline = Outline { items: Vec::new(), blocks: Vec::new(), slices: 0 };
    let mut open = Open::default();
    for line in &tidied.lines {
        let text = line.text.trim();
        if text.is_empty() {
            continue;
        }
        let role = if text.starts_with('#') {
            Role::Comment
        } else {
            role(line.number, text, &mut open, &mut outline, methods)?
        };
        let indent_was = line.was.len() - line.was.trim_start_matches(' ').len();
        outline.items.push(Item { line: line.number, text: text.to_owned(), indent_was, role });
    }
    // In one slice alone, the slice's parameters are everyone's.
    if let Some(block) = outline.blocks.iter().find(|block| outline.slices > 1 && block.may_be_slices) {
        let model = block.model.clone().unwrap_or_default();
        return Err(RefusedReason::Ambiguous { line: block.line, model });
    }
    Ok(outline)
}

fn role(
    line: usize,
    text: &str,
    open: &mut Open,
    outline: &mut Outline,
    methods: &[MethodInfo],
) -> Result<Role, RefusedReason> {
    let (dash, body) = match text.strip_prefix('-') {
        Some(rest) if rest.starts_with(' ') => (true, rest.trim_start()),
        _ => (false, text),
    };
    let no_owner = |key: &str| RefusedReason::NoOwner { line, key: key.to_owned() };
    let Some((key, value)) = key_and_value(body) else {
        // A value of a gradient.
        let Some((block, _)) =
            open.block.as_ref().filter(|_| dash && matches!(open.awaits, Awaits::Entries | Awaits::Items))
        else {
            return Err(RefusedReason::Unreadable { line });
        };
        return Ok(Role::Inside {
            block: *block,
            key: body.to_owned(),
            depth: if open.awaits == Awaits::Items { 4 } else { 2 },
        });
    };
    let has_value = !value.is_empty() && !value.starts_with('#');
    match key {
        "sources" => {
            if !open.in_slices || has_value {
                return Err(no_owner(key));
            }
            outline.slices += 1;
            (open.block, open.model, open.source) = (None, None, None);
            (open.model_has_block, open.bare_sources) = (false, 0);
            Ok(Role::Slice)
        }
        "model" | "layer_range" if open.in_slices => {
            if outline.slices == 0 || !has_value {
                return Err(no_owner(key));
            }
            let is_model = key == "model";
            let has = open.source.map(|(model, range)| if is_model { model } else { range });
            let begins = dash || has != Some(false);
            if begins {
                open.bare_sources += usize::from(open.source.is_some() && !open.model_has_block);
                (open.model, open.source) = (Some(String::new()), Some((false, false)));
                open.model_has_block = false;
            }
            open.block = None;
            if is_model {
                open.model = Some(value.trim_matches(['"', '\'']).to_owned());
            }
            open.source = open.source.map(|(model, range)| (model || is_model, range || !is_model));
            Ok(Role::Source { key: key.to_owned(), begins })
        }
        "model" => {
            if !open.in_models || !has_value {
                return Err(no_owner(key));
            }
            open.block = None;
            open.model = Some(value.trim_matches(['"', '\'']).to_owned());
            open.model_has_block = false;
            Ok(Role::Model)
        }
        "parameters" => {
            let model = open.model.clone().filter(|_| !open.model_has_block);
            let may_be_shared = !open.seen.iter().any(|seen| seen == "parameters");
            if model.is_none() && !may_be_shared {
                return Err(RefusedReason::Repeated { line, key: key.to_owned() });
            }
            let block = outline.blocks.len();
            if model.is_some() {
                open.model_has_block = true;
            } else {
                open.seen.push("parameters".to_owned());
                (open.in_models, open.in_slices, open.model) = (false, false, None);
            }
            let may_be_slices = open.in_slices && open.bare_sources > 0;
            outline.blocks.push(Block { line, model, may_be_shared, in_slice: open.in_slices, may_be_slices });
            open.block = Some((block, Vec::new()));
            open.awaits = Awaits::Nothing;
            Ok(Role::Parameters { block })
        }
        "filter" | "value" => {
            let Some((block, _)) = open.block.as_ref().filter(|_| open.awaits != Awaits::Nothing) else {
                return Err(no_owner(key));
            };
            // `value` completes the entry that a `filter` began, and begins one of its own otherwise.
            let continues = key == "value" && !dash && open.awaits == Awaits::Value;
            if key == "filter" && (open.awaits == Awaits::Value || !has_value) {
                return Err(no_owner(key));
            }
            open.awaits = match (key, has_value) {
                ("filter", _) => Awaits::Value,
                (_, false) => Awaits::Items,
                _ => Awaits::Entries,
            };
            let text = if continues { key } else { "-" };
            Ok(Role::Inside { block: *block, key: text.to_owned(), depth: if continues { 3 } else { 2 } })
        }
        _ if words::TOP.contains(&key) => {
            if dash {
                return Err(no_owner(key));
            }
            if open.seen.iter().any(|seen| seen == key) {
                return Err(RefusedReason::Repeated { line, key: key.to_owned() });
            }
            open.seen.push(key.to_owned());
            open.block = None;
            open.model = None;
            open.in_models = key == "models" && !has_value;
            open.in_slices = key == "slices" && !has_value;
            Ok(Role::Top { key: key.to_owned() })
        }
        _ => {
            let names = || methods.iter().flat_map(|method| &method.parameters).map(|parameter| parameter.name);
            if names().all(|name| name != key) && suggest(key, names()).is_none() {
                return Err(RefusedReason::UnknownKey { line, key: key.to_owned() });
            }
            let Some((block, settings)) = open.block.as_mut().filter(|_| !dash) else { return Err(no_owner(key)) };
            if settings.iter().any(|setting| setting == key) {
                return Err(RefusedReason::Repeated { line, key: key.to_owned() });
            }
            settings.push(key.to_owned());
            open.awaits = if has_value { Awaits::Nothing } else { Awaits::Entries };
            Ok(Role::Inside { block: *block, key: key.to_owned(), depth: 1 })
        }
    }
}

/// `key: value` in its parts.
fn key_and_value(text: &str) -> Option<(&str, &str)> {
    let (key, value) = text.split_once(':')?;
    let word = !key.is_empty() && key.chars().all(|character| character.is_ascii_alphanumeric() || character == '_');
    (word && (value.is_empty() || value.starts_with(' '))).then(|| (key, value.trim()))
}

fn push(text: &mut String, indent: usize, line: &str) {
    text.extend(std::iter::repeat_n(' ', indent));
    text.push_str(line);
    text.push('\n');
}

impl Outline {
    /// How many `parameters` there are.
    pub(super) fn blocks(&self) -> usize {
        self.blocks.len()
    }

    /// How many slices there are.
    pub(super) fn slices(&self) -> usize {
        self.slices
    }

    /// Every way to say whose the blocks are: each a model's where it can be, save at most one.
    pub(super) fn candidates(&self) -> impl Iterator<Item = Built> {
        // A block that can be nobody else's is the recipe's own, and then no other can.
        let own = self.blocks.iter().position(|block| block.model.is_none());
        let open = self.blocks.iter().enumerate().filter(|(_, block)| block.model.is_some() && block.may_be_shared);
        let others: Vec<Option<usize>> = match own {
            Some(_) => Vec::new(),
            None => open.map(|(number, _)| Some(number)).collect(),
        };
        std::iter::once(own).chain(others).map(|shared| self.build(shared))
    }

    /// The text with block `shared` as the recipe's own.
    fn build(&self, shared: Option<usize>) -> Built {
        let mut text = String::new();
        let mut notes = Vec::new();
        let mut model;
        let mut comments: Vec<&Item> = Vec::new();
        for item in &self.items {
            let of = |block: usize| if shared == Some(block) { None } else { self.blocks[block].model.clone() };
            // How far the entry is indented that a block of a model's belongs to.
            let entry = |block: usize| if self.blocks[block].in_slice { 8 } else { 4 };
            let (indent, key, place) = match &item.role {
                Role::Comment => {
                    comments.push(item);
                    continue;
                }
                Role::Top { key } => {
                    model = None;
                    (0, key.clone(), Place::Top)
                }
                Role::Model => {
                    model = None;
                    (2, "model".to_owned(), Place::Models)
                }
                Role::Slice => {
                    model = None;
                    (2, "sources".to_owned(), Place::Slices)
                }
                Role::Source { key, begins } => {
                    model = None;
                    let place = if *begins { Place::Sources } else { Place::Source };
                    (if *begins { 6 } else { 8 }, key.clone(), place)
                }
                Role::Parameters { block } => {
                    model = of(*block);
                    let place = if model.is_some() { Place::Model } else { Place::Top };
                    (if model.is_some() { entry(*block) } else { 0 }, "parameters".to_owned(), place)
                }
                Role::Inside { block, key, depth } => {
                    model = of(*block);
                    let place = match (depth, model.is_some()) {
                        (1, true) => Place::ModelParameters,
                        (1, false) => Place::Parameters,
                        _ => Place::Filter,
                    };
                    (if model.is_some() { entry(*block) } else { 0 } + 2 * depth, key.clone(), place)
                }
            };
            // Comments belong to the line under them.
            for comment in comments.drain(..) {
                push(&mut text, indent, &comment.text);
            }
            let begins = match &item.role {
                Role::Model | Role::Slice => true,
                Role::Source { begins, .. } => *begins,
                Role::Inside { key, .. } => key == "-",
                _ => false,
            };
            let bare = begins && !item.text.starts_with('-');
            let dash = if bare { "- " } else { "" };
            push(&mut text, indent, &format!("{dash}{}", item.text));
            if indent != item.indent_was || bare {
                let key = if key == "-" { "value".to_owned() } else { key };
                let kind = RepairKind::Placed { key, place, model: model.clone() };
                notes.push(RepairNote { line: item.line, kind });
            }
        }
        for comment in comments {
            push(&mut text, 0, &comment.text);
        }
        let shared = shared.and_then(|number| {
            let block = &self.blocks[number];
            block.model.clone().map(|model| (block.line, model))
        });
        Built { text, notes, shared }
    }
}
