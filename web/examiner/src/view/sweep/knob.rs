//! The numbers of a recipe that can be varied, and the recipe with another number in its place.

use merge_studio::recipe::{
    DefaultValue, MethodInfo, ParameterInfo, ParameterKind, Recipe, Scope, Setting, Settings, Slice, Value,
};

/// Whose number is varied.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// That of the whole merge.
    Shared,
    /// Each input's, all to the same.
    All,
    /// That of the input of this name.
    Input(String),
}

/// What a recipe says of a number now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Now {
    /// It, or its default.
    One(f64),
    /// Nothing, and there is no default.
    Nothing,
    /// More than one number: along layers, by filters, by inputs or by slices.
    Several,
}

/// A number that can be varied.
#[derive(Clone, Debug, PartialEq)]
pub struct Knob {
    pub info: ParameterInfo,
    pub target: Target,
    /// The useful range.
    pub range: (f64, f64),
    /// The base's name, where a base is no input.
    base: Option<String>,
}

/// All that a recipe's method has, the merge's own and all inputs' before single inputs'.
pub fn knobs(recipe: &Recipe, methods: &[MethodInfo]) -> Vec<Knob> {
    let Some(method) = methods.iter().find(|method| method.id == recipe.merge_method) else { return Vec::new() };
    let base = recipe.base_model.clone().filter(|_| method.has_base());
    let (mut first, mut single) = (Vec::new(), Vec::new());
    for info in method.parameters.iter().filter(|info| !info.idle) {
        let ParameterKind::Number { min, max, .. } = info.kind else { continue };
        let knob = |target| Knob { info: info.clone(), target, range: (min, max), base: base.clone() };
        if info.scope == Scope::Shared {
            first.push(knob(Target::Shared));
            continue;
        }
        let all = knob(Target::All);
        let mut names: Vec<&str> = Vec::new();
        for input in inputs(recipe).iter().filter(|input| all.is_of(input.model)) {
            if !names.contains(&input.model) {
                names.push(input.model);
            }
        }
        single.extend(names.iter().map(|name| knob(Target::Input((*name).to_owned()))));
        if names.len() > 1 {
            first.push(all);
        }
    }
    first.append(&mut single);
    first
}

/// An entry of `models` or a source of a slice.
struct Input<'a> {
    model: &'a str,
    /// Its own parameters, then those around it but the recipe's.
    scopes: Vec<&'a Settings>,
}

fn inputs(recipe: &Recipe) -> Vec<Input<'_>> {
    let mut inputs = Vec::new();
    for part in recipe.parts() {
        for entry in part.models {
            let scopes = [&entry.parameters].into_iter().chain(part.parameters).collect();
            inputs.push(Input { model: &entry.model, scopes });
        }
        for slice in part.slices {
            for source in &slice.sources {
                let scopes = [&source.parameters, &slice.parameters].into_iter().chain(part.parameters).collect();
                inputs.push(Input { model: &source.model, scopes });
            }
        }
    }
    inputs
}

/// The scopes that a number of the whole merge has, but the recipe's own: for each slice, or module, what counts first.
fn shared(recipe: &Recipe) -> Vec<Vec<&Settings>> {
    let mut scopes = Vec::new();
    for part in recipe.parts() {
        if part.slices.is_empty() {
            scopes.push(part.parameters.into_iter().collect());
        }
        scopes.extend(part.slices.iter().map(|slice| [&slice.parameters].into_iter().chain(part.parameters).collect()));
    }
    scopes
}

impl Knob {
    /// Whether an input of this name has such a number.
    fn is_of(&self, model: &str) -> bool {
        let is_base = self.base.as_deref() == Some(model);
        !(is_base && self.info.scope == Scope::NonBase)
    }

    /// Where the number is looked for, place by place; the recipe's own parameters are behind each.
    fn places<'a>(&self, recipe: &'a Recipe) -> Vec<Vec<&'a Settings>> {
        match &self.target {
            Target::Shared => shared(recipe),
            Target::All => {
                let inputs = inputs(recipe).into_iter().filter(|input| self.is_of(input.model));
                inputs.map(|input| input.scopes).collect()
            }
            Target::Input(name) => {
                inputs(recipe).into_iter().filter(|input| input.model == name).map(|input| input.scopes).collect()
            }
        }
    }

    /// What the recipe says of it.
    pub fn now(&self, recipe: &Recipe) -> Now {
        let name = self.info.name;
        let default = match self.info.default {
            DefaultValue::Number(number) => Now::One(number),
            _ => Now::Nothing,
        };
        let at = |scopes: Vec<&Settings>| match scopes
            .into_iter()
            .chain([&recipe.parameters])
            .find_map(|scope| scope.get(name))
        {
            None => default,
            Some(Setting::Scalar(value)) => match self.info.kind.coerce(value) {
                Some(Value::Number(number)) => Now::One(number),
                _ => Now::Several,
            },
            Some(Setting::Gradient(_) | Setting::Filters(_)) => Now::Several,
        };
        let mut all = self.places(recipe).into_iter().map(at);
        let first = all.next().unwrap_or(default);
        if all.all(|other| other == first) { first } else { Now::Several }
    }

    /// The recipe with this number: wherever it is written already, and in the recipe's own parameters where a place has none.
    pub fn set(&self, recipe: &Recipe, number: f64) -> Recipe {
        let name = self.info.name;
        let is_missing = self.places(recipe).iter().any(|scopes| scopes.iter().all(|scope| !scope.contains_key(name)));
        let setting = Setting::Scalar(Value::Number(number));
        let mut recipe = recipe.clone();
        let mut put = |own: Option<&str>, settings: &mut Settings| {
            let is_wanted = match (&self.target, own) {
                (Target::Input(wanted), Some(model)) => wanted == model,
                (Target::Input(_), None) | (Target::Shared, Some(_)) => false,
                (Target::All, _) | (Target::Shared, None) => settings.contains_key(name),
            };
            if is_wanted {
                settings.insert(name.to_owned(), setting.clone());
            }
        };
        for entry in &mut recipe.models {
            put(Some(&entry.model), &mut entry.parameters);
        }
        each_slice(&mut recipe.slices, &mut put);
        for module in &mut recipe.modules {
            put(None, &mut module.parameters);
            for entry in &mut module.models {
                put(Some(&entry.model), &mut entry.parameters);
            }
            each_slice(&mut module.slices, &mut put);
        }
        put(None, &mut recipe.parameters);
        if is_missing && !matches!(self.target, Target::Input(_)) {
            recipe.parameters.insert(name.to_owned(), setting);
        }
        recipe
    }
}

fn each_slice(slices: &mut [Slice], put: &mut impl FnMut(Option<&str>, &mut Settings)) {
    for slice in slices {
        put(None, &mut slice.parameters);
        for source in &mut slice.sources {
            put(Some(&source.model), &mut source.parameters);
        }
    }
}

/// Digits of a value.
const DIGITS: usize = 6;

/// As many values, at equal distances.
pub fn values(from: f64, to: f64, count: usize) -> Vec<f64> {
    let last = count.saturating_sub(1).max(1) as f64;
    let value = |at: usize| from + (to - from) * at as f64 / last;
    (0..count).map(|at| rounded(value(at))).collect()
}

/// Without a tail of digits that nobody wrote.
fn rounded(value: f64) -> f64 {
    format!("{value:.*e}", DIGITS - 1).parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use merge_studio::method;
    use merge_studio::recipe::{check, write};

    use super::*;

    const TIES: &str = "merge_method: ties
base_model: base
models:
  - {model: a, parameters: {weight: 0.5, density: [0.2, 0.8]}}
  - {model: b, parameters: {weight: 0.5}}
  - {model: base}
parameters: {lambda: 1.5}
";

    fn recipe(text: &str) -> Recipe {
        check(text, &method::infos()).recipe.expect("a sound recipe")
    }

    fn knob(recipe: &Recipe, name: &str, target: &Target) -> Knob {
        let all = knobs(recipe, &method::infos());
        all.into_iter().find(|knob| knob.info.name == name && knob.target == *target).expect("such a number")
    }

    fn input(name: &str) -> Target {
        Target::Input(name.to_owned())
    }

    /// What the text says of it with another number.
    fn with(text: &str, name: &str, target: &Target, number: f64) -> Recipe {
        let recipe = recipe(text);
        let changed = knob(&recipe, name, target).set(&recipe, number);
        let read = check(&write(&changed), &method::infos());
        assert!(read.problems.is_empty(), "{:?}", read.problems);
        assert_eq!(read.recipe.as_ref(), Some(&changed));
        assert_eq!(knob(&changed, name, target).now(&changed), Now::One(number));
        changed
    }

    fn number(number: f64) -> Setting {
        Setting::Scalar(Value::Number(number))
    }

    #[test]
    fn numbers_are_those_of_the_methods_description_and_the_base_has_none() {
        let recipe = recipe(TIES);
        let found: Vec<(&str, Target)> =
            knobs(&recipe, &method::infos()).into_iter().map(|knob| (knob.info.name, knob.target)).collect();
        let expected = [
            ("weight", Target::All),
            ("density", Target::All),
            ("lambda", Target::Shared),
            ("weight", input("a")),
            ("weight", input("b")),
            ("density", input("a")),
            ("density", input("b")),
        ];
        assert_eq!(found, expected);
        for info in method::infos() {
            let recipe = Recipe { merge_method: info.id.to_owned(), ..recipe.clone() };
            let named: Vec<&str> =
                knobs(&recipe, std::slice::from_ref(&info)).iter().map(|knob| knob.info.name).collect();
            for parameter in &info.parameters {
                let is_number = matches!(parameter.kind, ParameterKind::Number { .. }) && !parameter.idle;
                assert_eq!(named.contains(&parameter.name), is_number, "{} of {}", parameter.name, info.id);
            }
        }
    }

    #[test]
    fn what_a_recipe_says_now_is_one_number_only_where_all_say_it() {
        let recipe = recipe(TIES);
        let now = |name, target: &Target| knob(&recipe, name, target).now(&recipe);
        assert_eq!(now("weight", &Target::All), Now::One(0.5));
        assert_eq!(now("lambda", &Target::Shared), Now::One(1.5));
        assert_eq!(now("density", &Target::All), Now::Several);
        assert_eq!(now("density", &input("a")), Now::Several);
        assert_eq!(now("density", &input("b")), Now::One(1.0));
        let copy = self::recipe("merge_method: passthrough\nmodels: [{model: a}]\n");
        assert_eq!(knob(&copy, "scale", &input("a")).now(&copy), Now::Nothing);
    }

    #[test]
    fn a_number_is_put_where_it_is_written_and_the_rest_stays() {
        let changed = with(TIES, "weight", &Target::All, 0.25);
        assert!(!changed.parameters.contains_key("weight"));
        assert!(changed.models[..2].iter().all(|entry| entry.parameters["weight"] == number(0.25)));
        assert!(changed.models[2].parameters.is_empty());
        assert_eq!(changed.models[0].parameters["density"], recipe(TIES).models[0].parameters["density"]);

        let changed = with(TIES, "density", &Target::All, 0.3);
        assert_eq!(changed.models[0].parameters["density"], number(0.3));
        assert!(!changed.models[1].parameters.contains_key("density"));
        assert_eq!(changed.parameters["density"], number(0.3));

        let changed = with(TIES, "density", &input("b"), 0.3);
        assert_eq!(changed.models[1].parameters["density"], number(0.3));
        assert_eq!(changed.models[0], recipe(TIES).models[0]);
        assert!(!changed.parameters.contains_key("density"));

        assert_eq!(with(TIES, "lambda", &Target::Shared, 0.7).parameters["lambda"], number(0.7));
    }

    #[test]
    fn slices_and_modules_are_looked_through() {
        let slices = "merge_method: slerp
base_model: a
slices:
  - sources: [{model: a, layer_range: [0, 2]}, {model: b, layer_range: [0, 2]}]
    parameters: {t: 0.2}
  - sources: [{model: a, layer_range: [2, 4]}, {model: b, layer_range: [2, 4]}]
parameters: {t: 0.5}
";
        let now = |text: &str, name, target: &Target| knob(&recipe(text), name, target).now(&recipe(text));
        assert_eq!(now(slices, "t", &Target::Shared), Now::Several);
        let changed = with(slices, "t", &Target::Shared, 0.4);
        assert_eq!(changed.slices[0].parameters["t"], number(0.4));
        assert!(changed.slices[1].parameters.is_empty());
        let modules = "merge_method: linear
modules:
  text:
    models: [{model: a, parameters: {weight: 1}}, {model: b}]
    parameters: {weight: 0.4}
";
        assert_eq!(now(modules, "weight", &input("b")), Now::One(0.4));
        let changed = with(modules, "weight", &Target::All, 0.6);
        assert_eq!(changed.modules[0].parameters["weight"], number(0.6));
        assert_eq!(changed.modules[0].models[0].parameters["weight"], number(0.6));
        assert!(changed.parameters.is_empty());
    }

    #[test]
    fn values_stand_at_equal_distances_and_have_few_digits() {
        assert_eq!(values(0.3, 0.9, 4), [0.3, 0.5, 0.7, 0.9]);
        assert_eq!(values(0.0, 1.0, 2), [0.0, 1.0]);
        assert_eq!(values(0.0, 1.0, 4), [0.0, 0.333_333, 0.666_667, 1.0]);
        assert_eq!(values(0.0, 1e-6, 3), [0.0, 5e-7, 1e-6]);
    }
}
