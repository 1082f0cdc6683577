//! Random recipes over those checkpoints: any method, its parameters as it describes them, and every way to arrange the models.

use merge_studio::recipe::{
    BaseUse, DefaultValue, FloatName, MethodInfo, ModelEntry, Module, ParameterInfo, ParameterKind, Recipe, Scope,
    Setting, Settings, Slice, SliceSource, TokenRule, TokenSource, TokenizerRule, TokenizerSource, Value,
};
use proptest::prelude::*;

use crate::world::{World, adapter_name, name, token, world};

/// The base and three more.
const CHECKPOINTS: usize = 4;

/// How the models are arranged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arrangement {
    Models,
    Slices,
    /// The text decoder from slices; `true`: the vision tower from models, or else it is nobody's and the donor's.
    Modules(bool),
}

/// What decides one parameter's value.
#[derive(Clone, Debug)]
struct Draw {
    given: bool,
    form: u8,
    at: [f64; 3],
    flag: bool,
    /// Whether it is said for the recipe, or where it applies.
    wide: bool,
}

/// A slice: how many layers, and from where each source takes them.
#[derive(Clone, Debug)]
struct Cut {
    layers: u64,
    from: [u64; CHECKPOINTS],
    own_base: bool,
}

/// A case as it is drawn; with a method it becomes a recipe.
#[derive(Clone, Debug)]
pub struct Draft {
    pub world: World,
    pub seed: u64,
    arrangement: Arrangement,
    /// How many models beside the base, if the method takes as many.
    models: usize,
    with_base: bool,
    base_is_listed: bool,
    adapters: [bool; CHECKPOINTS],
    draws: Vec<Draw>,
    cuts: Vec<Cut>,
    dtype: Option<FloatName>,
    out_dtype: Option<FloatName>,
    tokenizer: Option<Vocabulary>,
}

/// `tokenizer`, as it is drawn.
#[derive(Clone, Debug)]
struct Vocabulary {
    source: u8,
    /// The token, the kind of its source, a number for it, `force`.
    tokens: Vec<(usize, u8, usize, bool)>,
    pad: Option<u64>,
}

prop_compose! {
    fn draw()(
        given in any::<bool>(), form in 0..6_u8, at in [0.0..1.0, 0.0..1.0, 0.0..1.0], flag in any::<bool>(), wide in any::<bool>(),
    ) -> Draw {
        Draw { given, form, at, flag, wide }
    }
}

prop_compose! {
    fn vocabulary()(
        source in 0..4_u8,
        tokens in prop::collection::vec((0..44_usize, 0..5_u8, 0..20_usize, any::<bool>()), 0..3),
        pad in prop::option::of(1..17_u64),
    ) -> Vocabulary {
        Vocabulary { source, tokens, pad }
    }
}

fn float() -> impl Strategy<Value = Option<FloatName>> {
    prop::option::weighted(0.4, prop::sample::select(FloatName::ALL.to_vec()))
}

prop_compose! {
    pub fn draft()(
        world in world(CHECKPOINTS),
        seed in any::<u64>(),
        arrangement in prop::sample::select(vec![
            Arrangement::Models, Arrangement::Models, Arrangement::Slices, Arrangement::Modules(false), Arrangement::Modules(true),
        ]),
        (models, with_base, base_is_listed) in (1..CHECKPOINTS, any::<bool>(), any::<bool>()),
        adapters in any::<[bool; CHECKPOINTS]>(),
        draws in prop::collection::vec(draw(), 16),
        cuts in prop::collection::vec(
            (1..4_u64, any::<[u8; CHECKPOINTS]>(), any::<bool>()).prop_map(|(layers, from, own_base)| {
                Cut { layers, from: from.map(u64::from), own_base }
            }),
            1..3,
        ),
        dtype in float(),
        out_dtype in float(),
        tokenizer in prop::option::weighted(0.4, vocabulary()),
    ) -> Draft {
        Draft {
            world, seed, arrangement, models, with_base, base_is_listed, adapters, draws, cuts, dtype, out_dtype, tokenizer,
        }
    }
}

impl Draft {
    /// Whether the checkpoints need one vocabulary, since nothing aligns them.
    pub fn one_vocabulary(&self) -> bool {
        self.tokenizer.is_none()
    }

    /// Whether there is a vision tower.
    pub fn vision(&self) -> bool {
        matches!(self.arrangement, Arrangement::Modules(_))
    }

    /// The recipe for this method.
    pub fn recipe(&self, method: &MethodInfo) -> Recipe {
        let (least, most) = method.models;
        let others = self.models.clamp(least.max(1), most.unwrap_or(usize::MAX));
        let base = match method.base {
            BaseUse::Required => true,
            BaseUse::Optional => self.with_base,
            // As an ordinary input it is one model more.
            BaseUse::Ordinary => self.with_base && most.is_none(),
        };
        let sliced = self.arrangement != Arrangement::Models;
        let mut deal = self.draws.iter().cycle();
        let mut shared = Settings::new();
        let mut cut = Settings::new();
        let mut own: Vec<Settings> = vec![Settings::new(); CHECKPOINTS];
        for parameter in &method.parameters {
            let required = parameter.default == DefaultValue::Required;
            let value = |deal: &mut std::iter::Cycle<std::slice::Iter<'_, Draw>>| {
                deal.next()
                    .filter(|draw| required || draw.given)
                    .map(|draw| (draw.wide, setting(method, parameter, draw)))
            };
            if let Some((wide, setting)) = value(&mut deal) {
                // A base that is not listed has no settings of its own.
                let wide = wide || !sliced || (required && parameter.scope != Scope::Shared);
                if wide { &mut shared } else { &mut cut }.insert(parameter.name.to_owned(), setting);
            }
            if parameter.scope != Scope::Shared {
                for own in &mut own {
                    if let Some((false, setting)) = value(&mut deal) {
                        own.insert(parameter.name.to_owned(), setting);
                    }
                }
            }
        }
        // Parameters of the base are an error where they have no meaning.
        let listed = |number: usize| {
            let base_settings = number == 0 && base && method.has_base();
            let parameters = own[number].iter().filter(|(name, _)| {
                !base_settings || method.parameter(name).is_some_and(|parameter| parameter.scope == Scope::Input)
            });
            let parameters = parameters.map(|(name, setting)| (name.clone(), setting.clone())).collect();
            ModelEntry { model: self.model(number), parameters }
        };
        let first = usize::from(base);
        let numbers: Vec<usize> = (first..first + others).map(|number| number % CHECKPOINTS).collect();
        let with_base = |listed: bool| (0..usize::from(base && listed)).chain(numbers.iter().copied());
        let models: Vec<ModelEntry> = with_base(self.base_is_listed).map(listed).collect();
        let base_name = base.then(|| self.model(0));
        let slice = |(at, cutting): (usize, &Cut)| {
            let layers = cutting.layers.min(self.world.layers);
            let members: Vec<usize> = if most == Some(1) && !base {
                vec![(numbers[0] + at) % CHECKPOINTS]
            } else {
                with_base(method.has_base()).collect()
            };
            let source = |number: usize| {
                let ModelEntry { model, parameters } = listed(number);
                let first = cutting.from[number] % (self.world.layers - layers + 1);
                SliceSource { model, layers: (first, first + layers), parameters }
            };
            Slice {
                sources: members.into_iter().map(source).collect(),
                base_model: base_name.clone().filter(|_| cutting.own_base && method.has_base()),
                parameters: cut.clone(),
            }
        };
        let slices: Vec<Slice> = self.cuts.iter().enumerate().map(slice).collect();
        let mut recipe = Recipe {
            merge_method: method.id.to_owned(),
            base_model: base_name,
            parameters: shared,
            dtype: self.dtype,
            out_dtype: self.out_dtype,
            ..Recipe::default()
        };
        match self.arrangement {
            Arrangement::Models => recipe.models = models,
            Arrangement::Slices => recipe.slices = slices,
            Arrangement::Modules(tower) => {
                let module = |name: &str| Module { name: name.to_owned(), ..Module::default() };
                recipe.modules.push(Module { slices, parameters: cut.clone(), ..module("text_decoder") });
                if tower {
                    recipe.modules.push(Module { models, parameters: cut, ..module("vision_tower") });
                }
            }
        }
        let named: Vec<String> = with_base(true).map(|number| self.model(number)).collect();
        recipe.tokenizer = self.tokenizer.as_ref().map(|vocabulary| vocabulary.rule(&named));
        recipe
    }

    /// The name of a checkpoint in the recipe, with its adapter if that is applied.
    fn model(&self, number: usize) -> String {
        let adapter = self.world.checkpoints[number].adapter.is_some() && self.adapters[number];
        if adapter { format!("{}+{}", name(number), adapter_name(number)) } else { name(number) }
    }
}

impl Vocabulary {
    fn rule(&self, models: &[String]) -> TokenizerRule {
        let model = |number: usize| models[number % models.len()].clone();
        let source = match self.source {
            0 | 1 => TokenizerSource::Union,
            2 => TokenizerSource::Base,
            _ => TokenizerSource::Model(model(models.len() - 1)),
        };
        let mut tokens: Vec<(String, TokenRule)> = Vec::new();
        for &(of, kind, number, force) in &self.tokens {
            // Tokens that every checkpoint has are asked for.
            let source = match kind {
                0 => None,
                1 => Some(TokenSource::Zero),
                2 => Some(TokenSource::Model(model(number))).filter(|_| of < 20),
                3 => Some(TokenSource::Token { model: model(number), token: token(number) }),
                _ => Some(TokenSource::Id { model: model(number), id: number as u64 }),
            };
            if tokens.iter().all(|(known, _)| *known != token(of)) {
                let force = force && source.is_some();
                tokens.push((token(of), TokenRule { source, force }));
            }
        }
        TokenizerRule { source, tokens, pad_to_multiple_of: self.pad }
    }
}

/// A value within the useful range, as a scalar, a gradient or by filters.
fn setting(method: &MethodInfo, parameter: &ParameterInfo, draw: &Draw) -> Setting {
    let ParameterKind::Number { min, max, .. } = parameter.kind else {
        return Setting::Scalar(Value::Flag(draw.flag));
    };
    // density ± epsilon must be chances.
    let (min, max) = match (parameter.name, method.parameter("epsilon").is_some()) {
        ("density", true) => (0.3, 0.7),
        ("epsilon", _) if method.parameter("density").is_some() => (0.0, 0.25),
        _ => (min, max),
    };
    let whole = parameter.name == "max_iter";
    let value = |at: usize| {
        let value = min + draw.at[at] * (max - min);
        Value::Number(if whole { value.round() } else { value })
    };
    let gradient = || Setting::Gradient(vec![value(0), value(1), value(2)]);
    match draw.form {
        3 if !whole => gradient(),
        4 if !whole => Setting::Filters(vec![
            (Some("mlp".to_owned()), Setting::Scalar(value(0))),
            (Some("self_attn".to_owned()), gradient()),
            (None, Setting::Scalar(value(2))),
        ]),
        5 => Setting::Filters(vec![
            (Some("norm".to_owned()), Setting::Scalar(value(0))),
            (Some("*".to_owned()), Setting::Scalar(value(1))),
        ]),
        _ => Setting::Scalar(value(0)),
    }
}
