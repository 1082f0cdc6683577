//! `parameters`: which keys count where, and what their values are.

use super::super::problem::{Expected, Place, Problem, ProblemKind};
use super::super::reader::{Data, Map, Node, Pair};
use super::super::scalar::{self, Scalar};
use super::super::span::Span;
use super::{Checker, fixes, found, words};
use crate::recipe::{MethodInfo, ParameterInfo, ParameterKind, Scope, Setting, Settings, Value, suggest};

/// A `parameters` mapping: what it says, and where.
pub(super) struct Parameters<'n> {
    pub(super) settings: Settings,
    pub(super) pairs: &'n [Pair],
}

impl<'n> Parameters<'n> {
    pub(super) fn pair(&self, name: &str) -> Option<&'n Pair> {
        self.pairs.iter().find(|pair| pair.key.text() == Some(name))
    }

    /// Whether there is a value: an empty list is none, and one that could not be read counts, having its own problem.
    pub(super) fn gives(&self, name: &str) -> bool {
        self.pair(name).is_some() && self.settings.get(name) != Some(&Setting::Gradient(Vec::new()))
    }
}

/// Whose `parameters` they are.
#[derive(Clone, Copy)]
pub(super) struct Owner<'n> {
    /// Where they stand.
    pub(super) place: Place,
    /// The mapping under whose `parameters` those would count that are for all models.
    pub(super) shared: (&'n Map, Place),
}

/// What the values of one parameter must be.
#[derive(Clone, Copy)]
struct Wanted<'p> {
    name: &'p str,
    /// None for a parameter that the method lacks: mergekit wants a value of the right shape all the same.
    info: Option<&'p ParameterInfo>,
}

impl<'a> Checker<'a> {
    /// Reads the `parameters` of a mapping. None if there are none.
    pub(super) fn parameters_of(
        &mut self,
        map: &'a Map,
        owner: Owner<'_>,
        method: Option<&MethodInfo>,
    ) -> Option<Parameters<'a>> {
        let node = &map.get("parameters")?.value;
        let map = match &node.data {
            Data::Map(map) => map,
            Data::Scalar(Scalar::Null) => return None,
            _ => {
                self.shape(Some("parameters"), node, Expected::Mapping);
                return None;
            }
        };
        let mut settings = Settings::new();
        for pair in &map.pairs {
            let Some(name) = pair.key.text() else {
                self.key_not_text(pair);
                continue;
            };
            let info = method.and_then(|method| method.parameter(name));
            if let Some(method) = method {
                self.belongs(pair, name, map, owner, method);
            }
            if let Some(setting) = self.setting(Wanted { name, info }, &pair.value) {
                settings.insert(name.to_owned(), setting);
            }
        }
        Some(Parameters { settings, pairs: &map.pairs })
    }

    /// A name of one's own that YAML takes for something else than a text.
    pub(super) fn key_not_text(&mut self, pair: &Pair) {
        let kind = ProblemKind::KeyNotText { found: found(&pair.key) };
        let fix = fixes::quote(self.lines, pair.key.span);
        self.problems.push(Problem::new(pair.key.span, kind).with(fix));
    }

    /// Whether a key counts where it stands.
    fn belongs(&mut self, pair: &Pair, name: &str, map: &Map, owner: Owner<'_>, method: &MethodInfo) {
        let span = pair.key.span;
        let problem = match method.parameter(name) {
            Some(parameter) if parameter.scope == Scope::Shared && owner.place == Place::ModelParameters => {
                let (to, belongs) = owner.shared;
                let fix = fixes::move_to_parameters(self.lines, pair, to, belongs);
                Problem::new(span, ProblemKind::SharedUnderModel { parameter: name.into(), belongs }).with(fix)
            }
            Some(_) if method.is_idle(name) => {
                let kind = ProblemKind::IdleParameter { method: method.id.into(), parameter: name.into() };
                Problem::new(span, kind).with(fixes::remove(self.lines, pair))
            }
            Some(_) => return,
            None if words::TOP.contains(&name) => {
                let fix = fixes::move_to_top(self.lines, pair, self.root);
                Problem::new(span, ProblemKind::Misplaced { key: name.into(), belongs: Place::Top }).with(fix)
            }
            None => {
                let foreign = self.methods.iter().any(|other| other.parameter(name).is_some());
                let names = method.parameters.iter().map(|parameter| parameter.name);
                let suggestion = suggest(name, names).filter(|suggestion| !foreign && map.get(suggestion).is_none());
                let kind = ProblemKind::ForeignParameter {
                    parameter: name.into(),
                    method: method.id.into(),
                    suggestion: suggestion.map(str::to_owned),
                };
                let fix = match suggestion {
                    Some(suggestion) => Some(fixes::replace(span, suggestion)),
                    None => fixes::remove(self.lines, pair),
                };
                Problem::new(span, kind).with(fix)
            }
        };
        self.problems.push(problem);
    }

    fn setting(&mut self, wanted: Wanted<'_>, node: &Node) -> Option<Setting> {
        match &node.data {
            Data::List(items) if items.iter().any(|item| matches!(item.data, Data::Map(_))) => {
                let mut entries = Vec::new();
                let mut catch_all = None;
                for item in items {
                    if let Some(line) = catch_all {
                        self.say(item.span.start(), ProblemKind::Unreachable { catch_all: line });
                    }
                    let entry = self.filter_entry(wanted, item)?;
                    if catch_all.is_none() && matches!(entry.0.as_deref(), None | Some("*" | "")) {
                        catch_all = Some(item.span.line);
                    }
                    entries.push(entry);
                }
                Some(Setting::Filters(entries))
            }
            Data::Map(_) => Some(Setting::Filters(vec![self.filter_entry(wanted, node)?])),
            _ => self.scalar_or_gradient(wanted, node, Expected::Setting),
        }
    }

    fn filter_entry(&mut self, wanted: Wanted<'_>, node: &Node) -> Option<(Option<String>, Setting)> {
        let Data::Map(map) = &node.data else {
            self.shape(None, node, Expected::Filter);
            return None;
        };
        self.stray_keys(map, Place::Filter, None);
        let filter = match map.get("filter") {
            Some(pair) if !pair.value.is_null() => Some(self.text("filter", &pair.value)?),
            _ => None,
        };
        let Some(pair) = map.get("value") else {
            self.say(node.span.start(), ProblemKind::MissingKey { key: "value".into() });
            return None;
        };
        Some((filter, self.scalar_or_gradient(wanted, &pair.value, Expected::Gradient)?))
    }

    fn scalar_or_gradient(&mut self, wanted: Wanted<'_>, node: &Node, expected: Expected) -> Option<Setting> {
        match &node.data {
            Data::Scalar(Scalar::Null | Scalar::Date) | Data::Map(_) => {
                self.shape(Some(wanted.name), node, expected);
                None
            }
            Data::Scalar(scalar) => Some(Setting::Scalar(self.value(wanted, scalar, node.span)?)),
            Data::List(items) => {
                if items.is_empty() {
                    self.say(node.span, ProblemKind::EmptyList { parameter: wanted.name.into() });
                }
                let mut values = Vec::with_capacity(items.len());
                for item in items {
                    match &item.data {
                        Data::Scalar(scalar) if !matches!(scalar, Scalar::Null | Scalar::Date) => {
                            values.push(self.value(wanted, scalar, item.span)?);
                        }
                        _ => {
                            self.shape(None, item, Expected::Gradient);
                            return None;
                        }
                    }
                }
                Some(Setting::Gradient(values))
            }
        }
    }

    /// A scalar as the parameter wants it, with pydantic's leniency: a text may be a number, a number a flag.
    fn value(&mut self, wanted: Wanted<'_>, scalar: &Scalar, span: Span) -> Option<Value> {
        match wanted.info.map(|info| info.kind) {
            Some(ParameterKind::Number { floor, .. }) => {
                let number = self.number(wanted, scalar, span)?;
                self.range(wanted.name, number, floor, span);
                Some(Value::Number(number))
            }
            Some(ParameterKind::Flag) => {
                let flag = match scalar {
                    Scalar::Flag(flag) => Some(*flag),
                    Scalar::Number(number) if *number == 0.0 || *number == 1.0 => Some(*number == 1.0),
                    Scalar::Text(text) => scalar::flag_of(text),
                    _ => None,
                };
                if flag.is_none() {
                    let found = found(&Node { span, data: Data::Scalar(scalar.clone()) });
                    self.say(span, ProblemKind::NotAFlag { parameter: wanted.name.into(), found });
                }
                flag.map(Value::Flag)
            }
            None => match scalar {
                Scalar::Flag(flag) => Some(Value::Flag(*flag)),
                Scalar::Number(number) if number.is_finite() => Some(Value::Number(*number)),
                Scalar::Text(text) => Some(Value::Text(text.clone())),
                _ => {
                    self.say(span, ProblemKind::NotFinite { parameter: wanted.name.into() });
                    None
                }
            },
        }
    }

    fn number(&mut self, wanted: Wanted<'_>, scalar: &Scalar, span: Span) -> Option<f64> {
        let parameter = wanted.name.to_owned();
        let number = match scalar {
            Scalar::Flag(flag) => {
                self.say(span, ProblemKind::FlagForNumber { parameter: parameter.clone(), flag: *flag });
                Some(f64::from(u8::from(*flag)))
            }
            Scalar::Number(number) => Some(*number),
            Scalar::Text(text) => scalar::number_of(text),
            Scalar::Null | Scalar::Date => None,
        };
        match number {
            Some(number) if number.is_finite() => Some(number),
            Some(_) => {
                self.say(span, ProblemKind::NotFinite { parameter });
                None
            }
            None => {
                let found = found(&Node { span, data: Data::Scalar(scalar.clone()) });
                // A decimal comma, unless it may separate thousands.
                let fix = match scalar {
                    Scalar::Text(text) if text.split_once(',').is_some_and(|(_, decimals)| decimals.len() != 3) => {
                        let pointed = text.replace(',', ".");
                        scalar::number_of(&pointed).map(|_| fixes::replace(span, &pointed))
                    }
                    _ => None,
                };
                self.problems.push(Problem::new(span, ProblemKind::NotANumber { parameter, found }).with(fix));
                None
            }
        }
    }

    fn range(&mut self, parameter: &str, value: f64, floor: Option<f64>, span: Span) {
        if let Some(floor) = floor.filter(|floor| value < *floor) {
            self.say(span, ProblemKind::BelowFloor { parameter: parameter.into(), value, floor });
        } else if parameter == "density" && value > 1.0 {
            self.say(span, ProblemKind::DensityAboveOne { value });
        } else if parameter == "density" && value <= 0.0 {
            self.say(span, ProblemKind::DensityDropsAll { value });
        }
    }
}
