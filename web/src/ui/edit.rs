//! What the form does to a recipe: each control is one [`Edit`], and every edit leaves what the method requires filled in.

use merge_studio::format::retain;
use merge_studio::recipe::{
    BaseUse, DefaultValue, FloatName, MethodInfo, ModelEntry, ParameterInfo, ParameterKind, Recipe, Scope, Setting,
    Settings, TokenizerRule, TokenizerSource, Value, split_adapter,
};

use super::binding::{first, is_called_base};
use super::edit_slices::{self, SliceEdit};

/// One change made in the form.
#[derive(Clone, Debug, PartialEq)]
pub enum Edit {
    /// Another method. Parameters that it does not have are dropped.
    Method(String),
    /// Another base, or none.
    Base(Option<String>),
    /// One more model, at the end.
    Add(String),
    /// The entry is taken out.
    Remove(usize),
    /// The entry moves to another place in the list.
    Move {
        /// Where it is.
        from: usize,
        /// Where it shall be.
        to: usize,
    },
    /// A parameter gets a value, or goes back to what it is when nobody gives it.
    Set {
        /// Whose.
        owner: Owner,
        /// The key.
        parameter: String,
        /// The new value.
        setting: Option<Setting>,
    },
    /// `dtype`.
    Dtype(Option<FloatName>),
    /// `out_dtype`.
    OutDtype(Option<FloatName>),
    /// Something about slices.
    Slices(SliceEdit),
    /// An adapter on an entry of `models` or a slice's source, or none.
    Adapter {
        /// Whose.
        owner: Owner,
        /// The adapter's name.
        adapter: Option<String>,
    },
    /// Whose vocabulary the result has; none: nothing is aligned.
    Tokenizer(Option<TokenizerSource>),
    /// `pad_to_multiple_of`.
    PadTo(Option<u64>),
    /// The rule of the token at this place is taken out.
    DropToken(usize),
    /// `chat_template`.
    ChatTemplate(Option<String>),
}

/// Whose parameter is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The recipe's own `parameters`.
    Recipe,
    /// Those of an entry of `models`.
    Model(usize),
    /// Those of an entry of `slices`.
    Slice(usize),
    /// Those of a source: the slice's place, and its own there.
    Source(usize, usize),
}

/// The recipe after `edit`. An edit that points at nothing changes nothing.
pub fn apply(recipe: &Recipe, edit: Edit, methods: &[MethodInfo]) -> Recipe {
    let mut recipe = recipe.clone();
    let roles_change = matches!(edit, Edit::Method(_) | Edit::Base(_) | Edit::Slices(SliceEdit::Base(..)));
    match edit {
        Edit::Method(id) => recipe.merge_method = id,
        Edit::Base(base) => set_base(&mut recipe, base, methods),
        Edit::Add(model) => recipe.models.push(ModelEntry { model, ..ModelEntry::default() }),
        Edit::Remove(at) if at < recipe.models.len() => drop(recipe.models.remove(at)),
        Edit::Move { from, to } if from < recipe.models.len() && to < recipe.models.len() => {
            let entry = recipe.models.remove(from);
            recipe.models.insert(to, entry);
        }
        Edit::Set { owner, parameter, setting } => set(&mut recipe, owner, parameter, setting),
        Edit::Dtype(dtype) => recipe.dtype = dtype,
        Edit::OutDtype(dtype) => recipe.out_dtype = dtype,
        Edit::Slices(edit) => edit_slices::apply(&mut recipe, edit),
        Edit::Adapter { owner, adapter } => set_adapter(&mut recipe, owner, adapter.as_deref()),
        Edit::Tokenizer(None) => recipe.tokenizer = None,
        Edit::Tokenizer(Some(source)) => recipe.tokenizer.get_or_insert_default().source = source,
        Edit::PadTo(multiple) => {
            if let Some(rule) = &mut recipe.tokenizer {
                rule.pad_to_multiple_of = multiple;
            }
        }
        Edit::DropToken(at) => drop_token(recipe.tokenizer.as_mut(), at),
        Edit::ChatTemplate(template) => recipe.chat_template = template.filter(|template| !template.is_empty()),
        Edit::Remove(_) | Edit::Move { .. } => {}
    }
    if let Some(info) = methods.iter().find(|info| info.id == recipe.merge_method) {
        if roles_change {
            drop_foreign(&mut recipe, info);
        }
        fill_required(&mut recipe, info);
    }
    recipe
}

/// A first recipe from what is loaded: the base (if the method wants one) and the others as inputs.
pub fn start(info: &MethodInfo, models: &[&str], methods: &[MethodInfo]) -> Recipe {
    let mut names = first(models.to_vec(), |name| is_called_base(name));
    let base =
        if info.base == BaseUse::Required && !names.is_empty() { Some(names.remove(0).to_owned()) } else { None };
    let room = info.models.1.unwrap_or(usize::MAX);
    let entries =
        names.into_iter().take(room).map(|name| ModelEntry { model: name.to_owned(), ..ModelEntry::default() });
    let recipe = Recipe { base_model: base, models: entries.collect(), ..Recipe::default() };
    apply(&recipe, Edit::Method(info.id.to_owned()), methods)
}

/// The names of the models of a recipe, each once: those that are merged, then the base.
pub fn names(recipe: &Recipe) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for part in recipe.parts() {
        let sources = part.slices.iter().flat_map(|slice| &slice.sources).map(|source| source.model.as_str());
        for name in part.models.iter().map(|entry| entry.model.as_str()).chain(sources) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    let base = recipe.base_model.as_deref();
    names.extend(base.filter(|base| !names.contains(base)));
    names
}

/// The parameters that an entry of `models`, or a source of a slice, can have of its own.
pub fn of_input<'a>(info: &'a MethodInfo, recipe: &Recipe, owner: Owner) -> Vec<&'a ParameterInfo> {
    let base = recipe.base_model.as_ref();
    let (name, base) = match owner {
        Owner::Model(at) => (recipe.models.get(at).map(|entry| &entry.model), base),
        Owner::Source(slice, at) => {
            let slice = recipe.slices.get(slice);
            let source = slice.and_then(|slice| slice.sources.get(at));
            (source.map(|source| &source.model), slice.and_then(|slice| slice.base_model.as_ref()).or(base))
        }
        Owner::Recipe | Owner::Slice(_) => return info.parameters.iter().collect(),
    };
    let is_base = info.has_base() && name.is_some() && name == base;
    let has = |scope| scope == Scope::Input || (scope == Scope::NonBase && !is_base);
    info.parameters.iter().filter(|parameter| has(parameter.scope)).collect()
}

/// What is written for `owner`, if it is there.
pub fn settings(recipe: &Recipe, owner: Owner) -> Option<&Settings> {
    match owner {
        Owner::Recipe => Some(&recipe.parameters),
        Owner::Model(at) => recipe.models.get(at).map(|entry| &entry.parameters),
        Owner::Slice(at) => recipe.slices.get(at).map(|slice| &slice.parameters),
        Owner::Source(slice, at) => {
            recipe.slices.get(slice).and_then(|slice| slice.sources.get(at)).map(|source| &source.parameters)
        }
    }
}

/// What is written around `owner` and counts where it says nothing itself.
pub fn inherited<'a>(recipe: &'a Recipe, owner: Owner, parameter: &str) -> Option<&'a Setting> {
    let around = match owner {
        Owner::Recipe => return None,
        Owner::Source(slice, _) => settings(recipe, Owner::Slice(slice)),
        Owner::Model(_) | Owner::Slice(_) => None,
    };
    around.and_then(|settings| settings.get(parameter)).or_else(|| recipe.parameters.get(parameter))
}

fn set(recipe: &mut Recipe, owner: Owner, parameter: String, setting: Option<Setting>) {
    let Some(settings) = settings_mut(recipe, owner) else { return };
    match setting {
        Some(setting) => drop(settings.insert(parameter, setting)),
        None => retain(settings, &mut |key, _| *key != parameter),
    }
}

fn settings_mut(recipe: &mut Recipe, owner: Owner) -> Option<&mut Settings> {
    match owner {
        Owner::Recipe => Some(&mut recipe.parameters),
        Owner::Model(at) => recipe.models.get_mut(at).map(|entry| &mut entry.parameters),
        Owner::Slice(at) => recipe.slices.get_mut(at).map(|slice| &mut slice.parameters),
        Owner::Source(slice, at) => recipe
            .slices
            .get_mut(slice)
            .and_then(|slice| slice.sources.get_mut(at))
            .map(|source| &mut source.parameters),
    }
}

fn set_adapter(recipe: &mut Recipe, owner: Owner, adapter: Option<&str>) {
    let name = match owner {
        Owner::Model(at) => recipe.models.get_mut(at).map(|entry| &mut entry.model),
        Owner::Source(slice, at) => {
            recipe.slices.get_mut(slice).and_then(|slice| slice.sources.get_mut(at)).map(|source| &mut source.model)
        }
        Owner::Recipe | Owner::Slice(_) => None,
    };
    if let Some(name) = name {
        let own = split_adapter(name).0;
        *name = adapter.map_or_else(|| own.to_owned(), |adapter| format!("{own}+{adapter}"));
    }
}

fn drop_token(rule: Option<&mut TokenizerRule>, at: usize) {
    if let Some(rule) = rule.filter(|rule| at < rule.tokens.len()) {
        rule.tokens.remove(at);
    }
}

/// The new base keeps no entry of its own beside one that it had, and an old base that was only a base becomes an input.
fn set_base(recipe: &mut Recipe, base: Option<String>, methods: &[MethodInfo]) {
    let old = std::mem::replace(&mut recipe.base_model, base);
    let limit = methods.iter().find(|info| info.id == recipe.merge_method).and_then(|info| info.models.1);
    let Some(old) = old.filter(|old| Some(old) != recipe.base_model.as_ref()) else { return };
    let listed = recipe.models.iter().any(|entry| entry.model == old);
    // With exactly two models, choosing the other one for a base means that they change places.
    if let Some(at) = recipe.models.iter().position(|entry| Some(&entry.model) == recipe.base_model.as_ref())
        && !listed
        && limit.is_some()
    {
        recipe.models[at].model = old;
    }
}

/// Drops what the method does not have. Only where roles change: what a person wrote is otherwise theirs.
fn drop_foreign(recipe: &mut Recipe, info: &MethodInfo) {
    let shared =
        [&mut recipe.parameters].into_iter().chain(recipe.slices.iter_mut().map(|slice| &mut slice.parameters));
    shared.for_each(|settings| retain(settings, &mut |key, _| info.parameter(key).is_some()));
    if info.base == BaseUse::Ordinary
        && let Some(base) = recipe.base_model.clone()
        && recipe.slices.is_empty()
        && recipe.modules.is_empty()
    {
        recipe.base_model = None;
        if recipe.models.iter().all(|entry| entry.model != base) {
            recipe.models.insert(0, ModelEntry { model: base, ..ModelEntry::default() });
        }
    }
    for owner in inputs(recipe) {
        let own: Vec<&str> = of_input(info, recipe, owner).into_iter().map(|parameter| parameter.name).collect();
        if let Some(settings) = settings_mut(recipe, owner) {
            retain(settings, &mut |key, _| own.contains(&key.as_str()));
        }
    }
}

/// Fills in what the method cannot do without. Modules are left alone: the form does not show what is in them.
fn fill_required(recipe: &mut Recipe, info: &MethodInfo) {
    if !recipe.modules.is_empty() {
        return;
    }
    for owner in inputs(recipe) {
        for parameter in of_input(info, recipe, owner) {
            let is_given = parameter.scope == Scope::Shared || inherited(recipe, owner, parameter.name).is_some();
            if let Some(settings) = settings_mut(recipe, owner).filter(|_| !is_given) {
                require(settings, parameter);
            }
        }
    }
    for parameter in info.parameters.iter().filter(|parameter| parameter.scope == Scope::Shared) {
        let slices = &recipe.slices;
        let in_every_slice =
            !slices.is_empty() && slices.iter().all(|slice| slice.parameters.contains_key(parameter.name));
        if !in_every_slice {
            require(&mut recipe.parameters, parameter);
        }
    }
}

/// Every entry of `models` and every source of a slice.
fn inputs(recipe: &Recipe) -> Vec<Owner> {
    let sources = |(at, slice): (usize, &merge_studio::recipe::Slice)| {
        (0..slice.sources.len()).map(move |source| Owner::Source(at, source))
    };
    let models = (0..recipe.models.len()).map(Owner::Model);
    models.chain(recipe.slices.iter().enumerate().flat_map(sources)).collect()
}

fn require(settings: &mut Settings, parameter: &ParameterInfo) {
    if parameter.default == DefaultValue::Required && !settings.contains_key(parameter.name) {
        settings.insert(parameter.name.to_owned(), Setting::Scalar(first_value(parameter)));
    }
}

/// What a parameter starts with when it must be given: the middle for what is shared (a `t`), all of it for an input (a weight).
pub fn first_value(parameter: &ParameterInfo) -> Value {
    match (parameter.default.value(), parameter.kind) {
        (Some(value), _) => value,
        (None, ParameterKind::Flag) => Value::Flag(false),
        (None, ParameterKind::Number { min, max, .. }) if parameter.scope == Scope::Shared => {
            Value::Number(f64::midpoint(min, max))
        }
        (None, ParameterKind::Number { max, .. }) => Value::Number(max.min(1.0)),
    }
}

#[cfg(test)]
mod tests {
    use merge_studio::method;

    use super::*;

    fn number(value: f64) -> Setting {
        Setting::Scalar(Value::Number(value))
    }

    fn started(id: &str, models: &[&str]) -> Recipe {
        let methods = method::infos();
        let info = methods.iter().find(|info| info.id == id).expect("a method of this name");
        start(info, models, &methods)
    }

    #[test]
    fn a_first_recipe_takes_the_base_for_the_base_and_fills_in_what_is_required() {
        let recipe = started("ties", &["chat", "base", "math"]);
        assert_eq!(recipe.base_model.as_deref(), Some("base"));
        assert_eq!(recipe.models.iter().map(|entry| entry.model.as_str()).collect::<Vec<_>>(), ["chat", "math"]);
        assert!(recipe.models.iter().all(|entry| entry.parameters.get("weight") == Some(&number(1.0))));
        assert!(recipe.models.iter().all(|entry| !entry.parameters.contains_key("density")), "defaults stay unwritten");
    }

    #[test]
    fn a_first_slerp_takes_two_models_and_stands_in_the_middle() {
        let recipe = started("slerp", &["a", "b", "c"]);
        assert_eq!((recipe.base_model.as_deref(), recipe.models.len()), (Some("a"), 1));
        assert_eq!(recipe.parameters.get("t"), Some(&number(0.5)));
    }

    #[test]
    fn another_method_drops_what_it_does_not_have_and_makes_the_base_an_input_where_there_is_no_base() {
        let methods = method::infos();
        let ties = started("ties", &["base", "a"]);
        let owner = Owner::Model(0);
        let ties = apply(&ties, Edit::Set { owner, parameter: "density".into(), setting: Some(number(0.3)) }, &methods);
        let linear = apply(&ties, Edit::Method("linear".into()), &methods);
        assert_eq!(linear.base_model, None);
        assert_eq!(linear.models.iter().map(|entry| entry.model.as_str()).collect::<Vec<_>>(), ["base", "a"]);
        assert!(linear.models.iter().all(|entry| entry.parameters.keys().eq(["weight"])));
    }

    #[test]
    fn a_value_written_for_all_models_is_not_repeated_under_each() {
        let methods = method::infos();
        let mut recipe = started("ties", &["base"]);
        recipe.parameters.insert("weight".into(), number(0.4));
        let recipe = apply(&recipe, Edit::Add("a".into()), &methods);
        assert!(recipe.models[0].parameters.is_empty());
    }

    #[test]
    fn the_base_among_the_models_has_no_weight_of_its_own() {
        let methods = method::infos();
        let recipe = apply(&started("ties", &["base", "a"]), Edit::Add("base".into()), &methods);
        assert!(recipe.models[1].parameters.is_empty());
        let recipe = apply(&recipe, Edit::Base(Some("a".into())), &methods);
        assert!(recipe.models[0].parameters.is_empty(), "a became the base");
        assert_eq!(recipe.models[1].parameters.get("weight"), Some(&number(1.0)), "base became an input");
    }

    #[test]
    fn choosing_the_other_model_of_two_for_a_base_swaps_them() {
        let methods = method::infos();
        let recipe = apply(&started("slerp", &["a", "b"]), Edit::Base(Some("b".into())), &methods);
        assert_eq!((recipe.base_model.as_deref(), recipe.models[0].model.as_str()), (Some("b"), "a"));
    }

    #[test]
    fn edits_that_point_at_nothing_change_nothing() {
        let methods = method::infos();
        let recipe = started("ties", &["base", "a"]);
        assert_eq!(apply(&recipe, Edit::Remove(7), &methods), recipe);
        assert_eq!(apply(&recipe, Edit::Move { from: 0, to: 7 }, &methods), recipe);
    }
}
