//! What the form does to a recipe's slices, and from whole models to slices and back.

use merge_studio::format::in_order;
use merge_studio::recipe::{ModelEntry, Recipe, Slice, SliceSource};

/// One change to slices. Slices and their sources are meant by their places; a place where nothing is changes nothing.
#[derive(Clone, Debug, PartialEq)]
pub enum SliceEdit {
    /// Whole models become one slice of all their layers: so many.
    FromModels(u64),
    /// Slices become whole models, each once. Their ranges are gone.
    IntoModels,
    /// One more slice, at the end.
    Add(Slice),
    /// The slice is taken out.
    Remove(usize),
    /// The slice moves to another place in the list.
    Move {
        /// Where it is.
        from: usize,
        /// Where it shall be.
        to: usize,
    },
    /// A base for this slice alone, or the recipe's.
    Base(usize, Option<String>),
    /// One more source of a model, at the end of the slice.
    AddSource(usize, String),
    /// The source is taken out.
    RemoveSource(usize, usize),
    /// The source moves to another place in its slice.
    MoveSource {
        /// Which slice.
        slice: usize,
        /// Where it is.
        from: usize,
        /// Where it shall be.
        to: usize,
    },
    /// Another model for a source.
    Model {
        /// Which slice.
        slice: usize,
        /// Which source.
        source: usize,
        /// The model's name.
        model: String,
    },
    /// Another range for a source: first layer, and the one after the last.
    Range {
        /// Which slice.
        slice: usize,
        /// Which source.
        source: usize,
        /// The range.
        layers: (u64, u64),
    },
}

/// Lets `edit` happen.
pub fn apply(recipe: &mut Recipe, edit: SliceEdit) {
    let slices = &mut recipe.slices;
    match edit {
        SliceEdit::FromModels(layers) => from_models(recipe, layers),
        SliceEdit::IntoModels => into_models(recipe),
        SliceEdit::Add(slice) => slices.push(slice),
        SliceEdit::Remove(at) if at < slices.len() => drop(slices.remove(at)),
        SliceEdit::Move { from, to } => relocate(slices, from, to),
        SliceEdit::Base(at, base) => {
            if let Some(slice) = slices.get_mut(at) {
                slice.base_model = base;
            }
        }
        SliceEdit::AddSource(at, model) => {
            if let Some(slice) = slices.get_mut(at) {
                // Sources give equally many layers; the same ones are the likeliest.
                let layers = slice.sources.first().map_or((0, 1), |first| first.layers);
                slice.sources.push(SliceSource { model, layers, ..SliceSource::default() });
            }
        }
        SliceEdit::RemoveSource(at, source) => {
            if let Some(slice) = slices.get_mut(at).filter(|slice| source < slice.sources.len()) {
                slice.sources.remove(source);
            }
        }
        SliceEdit::MoveSource { slice, from, to } => {
            if let Some(slice) = slices.get_mut(slice) {
                relocate(&mut slice.sources, from, to);
            }
        }
        SliceEdit::Model { slice, source, model } => {
            if let Some(source) = slices.get_mut(slice).and_then(|slice| slice.sources.get_mut(source)) {
                source.model = model;
            }
        }
        SliceEdit::Range { slice, source, layers } => {
            if let Some(slice) = slices.get_mut(slice).filter(|slice| source < slice.sources.len()) {
                set_range(slice, source, layers);
            }
        }
        SliceEdit::Remove(_) => {}
    }
}

fn relocate<T>(list: &mut Vec<T>, from: usize, to: usize) {
    if from < list.len() && to < list.len() {
        let item = list.remove(from);
        list.insert(to, item);
    }
}

/// How many layers a range has.
pub fn count((first, end): (u64, u64)) -> u64 {
    end.saturating_sub(first)
}

/// Sources that gave equally many layers go on to: the others keep their first layer and end where they must.
fn set_range(slice: &mut Slice, source: usize, layers: (u64, u64)) {
    let before = count(slice.sources[source].layers);
    slice.sources[source].layers = layers;
    let all_even = slice.sources.iter().enumerate().all(|(at, each)| at == source || count(each.layers) == before);
    for each in slice.sources.iter_mut().filter(|_| all_even) {
        each.layers.1 = each.layers.0.saturating_add(count(layers));
    }
}

fn from_models(recipe: &mut Recipe, layers: u64) {
    let mut entries = std::mem::take(&mut recipe.models);
    // A base joins whole models by itself, and a slice never.
    if let Some(base) = recipe.base_model.clone()
        && entries.iter().all(|entry| entry.model != base)
    {
        entries.insert(0, ModelEntry { model: base, ..ModelEntry::default() });
    }
    let source =
        |entry: ModelEntry| SliceSource { model: entry.model, layers: (0, layers), parameters: entry.parameters };
    recipe.slices.push(Slice { sources: entries.into_iter().map(source).collect(), ..Slice::default() });
}

fn into_models(recipe: &mut Recipe) {
    for source in std::mem::take(&mut recipe.slices).into_iter().flat_map(|slice| slice.sources) {
        if recipe.models.iter().all(|entry| entry.model != source.model) {
            recipe.models.push(ModelEntry { model: source.model, parameters: source.parameters });
        }
    }
}

/// A slice to add behind the others: the last one's sources, from where it ends and as far as their layers go (`depth`).
pub fn next(recipe: &Recipe, depth: impl Fn(&str) -> Option<u64>) -> Slice {
    let Some(last) = recipe.slices.last() else { return Slice::default() };
    let mut slice = last.clone();
    let room = |source: &SliceSource| {
        let left = depth(&source.model).map_or(u64::MAX, |depth| depth.saturating_sub(source.layers.1));
        count(source.layers).min(left)
    };
    let layers = slice.sources.iter().map(room).min().unwrap_or(0);
    if layers > 0 {
        for source in &mut slice.sources {
            source.layers = (source.layers.1, source.layers.1.saturating_add(layers));
        }
    }
    slice
}

/// What slices take of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The model.
    pub model: String,
    /// How many of its layers are in the output more than once, each counted once less than it is there.
    pub repeated: u64,
    /// How many are not in it, where the model's depth is known.
    pub dropped: Option<u64>,
}

/// What slices take of each of their models, in the order in which they come, given how many layers each has.
pub fn taken(slices: &[Slice], depth: impl Fn(&str) -> Option<u64>) -> Vec<Taken> {
    let sources: Vec<&SliceSource> = slices.iter().flat_map(|slice| &slice.sources).collect();
    let sources = in_order(sources, |source| source.layers.0);
    let mut models: Vec<&str> = Vec::new();
    for source in slices.iter().flat_map(|slice| &slice.sources) {
        if !models.contains(&source.model.as_str()) {
            models.push(&source.model);
        }
    }
    let of_model = |model: &str| {
        let (mut distinct, mut repeated, mut reached) = (0_u64, 0_u64, 0_u64);
        for &&SliceSource { layers: (first, end), .. } in sources.iter().filter(|source| source.model == model) {
            let new = count((first.max(reached), end));
            distinct += new;
            repeated = repeated.saturating_add(count((first, end)) - new);
            reached = reached.max(end);
        }
        Taken { model: model.to_owned(), repeated, dropped: depth(model).map(|depth| depth.saturating_sub(distinct)) }
    };
    models.into_iter().map(of_model).collect()
}

#[cfg(test)]
mod tests {
    use merge_studio::method;
    use merge_studio::recipe::{Setting, Value};

    use super::super::edit::{self, Edit, Owner};
    use super::*;

    fn source(model: &str, first: u64, end: u64) -> SliceSource {
        SliceSource { model: model.to_owned(), layers: (first, end), ..SliceSource::default() }
    }

    fn slice(sources: &[SliceSource]) -> Slice {
        Slice { sources: sources.to_vec(), ..Slice::default() }
    }

    fn sliced(method: &str, slices: Vec<Slice>) -> Recipe {
        Recipe { merge_method: method.to_owned(), slices, ..Recipe::default() }
    }

    fn edited(recipe: &Recipe, edit: SliceEdit) -> Recipe {
        edit::apply(recipe, Edit::Slices(edit), &method::infos())
    }

    #[test]
    fn whole_models_become_a_slice_of_all_layers_with_the_base_in_it_and_come_back() {
        let methods = method::infos();
        let ties = methods.iter().find(|info| info.id == "ties").expect("ties");
        let whole = edit::start(ties, &["base", "a"], &methods);
        let sliced = edited(&whole, SliceEdit::FromModels(4));
        let expected = ["base", "a"].map(|name| (name, (0, 4)));
        let sources = &sliced.slices[0].sources;
        assert!(sources.iter().map(|source| (source.model.as_str(), source.layers)).eq(expected));
        assert!(
            sliced.models.is_empty()
                && sources[0].parameters.is_empty()
                && sources[1].parameters.contains_key("weight")
        );
        let back = edited(&sliced, SliceEdit::IntoModels);
        assert!(back.slices.is_empty());
        assert_eq!(back.models.iter().map(|entry| entry.model.as_str()).collect::<Vec<_>>(), ["base", "a"]);
        assert_eq!(back.models[1], whole.models[0]);
    }

    #[test]
    fn sources_of_one_length_keep_one_length() {
        let recipe = sliced("passthrough", vec![slice(&[source("a", 0, 2), source("b", 2, 4)])]);
        let recipe = edited(&recipe, SliceEdit::Range { slice: 0, source: 0, layers: (1, 4) });
        assert_eq!(recipe.slices[0].sources.iter().map(|source| source.layers).collect::<Vec<_>>(), [(1, 4), (2, 5)]);
    }

    #[test]
    fn sources_that_were_uneven_are_left_to_the_person() {
        let recipe = sliced("passthrough", vec![slice(&[source("a", 0, 2), source("b", 0, 3)])]);
        let recipe = edited(&recipe, SliceEdit::Range { slice: 0, source: 0, layers: (0, 4) });
        assert_eq!(recipe.slices[0].sources[1].layers, (0, 3));
    }

    #[test]
    fn a_new_slice_goes_on_where_the_last_one_ends_and_no_further_than_the_model() {
        let depth = |_: &str| Some(5);
        let recipe = sliced("passthrough", vec![slice(&[source("a", 0, 3)])]);
        assert_eq!(next(&recipe, depth).sources[0].layers, (3, 5));
        let full = sliced("passthrough", vec![slice(&[source("a", 0, 5)])]);
        assert_eq!(next(&full, depth).sources[0].layers, (0, 5));
    }

    #[test]
    fn a_source_gets_what_its_method_requires_unless_its_slice_says_it() {
        let weight = || Setting::Scalar(Value::Number(0.5));
        let mut recipe = sliced("linear", vec![slice(&[source("a", 0, 1)]), slice(&[source("a", 1, 2)])]);
        recipe.slices[1].parameters.insert("weight".into(), weight());
        let recipe = edited(&recipe, SliceEdit::AddSource(1, "b".into()));
        assert!(recipe.slices[0].sources[0].parameters.contains_key("weight"));
        assert!(recipe.slices[1].sources.iter().all(|source| source.parameters.is_empty()));
        assert_eq!(edit::inherited(&recipe, Owner::Source(1, 0), "weight"), Some(&weight()));
    }

    #[test]
    fn layers_that_are_repeated_and_dropped_are_counted_by_ranges_however_large() {
        let slices = [
            slice(&[source("a", 0, 4)]),
            slice(&[source("a", 2, 6), source("b", 0, 4)]),
            slice(&[source("a", 8, 8)]),
            slice(&[source("c", 1, u64::MAX)]),
        ];
        let found = taken(&slices, |name| (name != "c").then_some(8));
        let expect = |model: &str, repeated, dropped| Taken { model: model.to_owned(), repeated, dropped };
        assert_eq!(found, [expect("a", 2, Some(2)), expect("b", 0, Some(4)), expect("c", 0, None)]);
    }

    #[test]
    fn edits_that_point_at_nothing_change_nothing() {
        let recipe = sliced("passthrough", vec![slice(&[source("a", 0, 3)])]);
        for edit in [
            SliceEdit::Remove(1),
            SliceEdit::Move { from: 0, to: 1 },
            SliceEdit::Base(1, None),
            SliceEdit::AddSource(1, "b".into()),
            SliceEdit::RemoveSource(0, 1),
            SliceEdit::MoveSource { slice: 0, from: 0, to: 1 },
            SliceEdit::Model { slice: 0, source: 1, model: "b".into() },
            SliceEdit::Range { slice: 0, source: 1, layers: (0, 1) },
        ] {
            assert_eq!(edited(&recipe, edit), recipe);
        }
    }
}
