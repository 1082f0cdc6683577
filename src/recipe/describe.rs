//! How a merge method describes itself: the one description that linter, form, docs, plan and command line read.

use serde::Serialize;

use super::Value;

/// A merge method as people see it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MethodInfo {
    /// The name in `merge_method`.
    pub id: &'static str,
    /// The name in prose.
    pub title: &'static str,
    /// One line: what it does.
    pub summary: &'static str,
    /// Where it comes from.
    pub paper: &'static str,
    /// What it does with `base_model`.
    pub base: BaseUse,
    /// Fewest and most models that it takes, the base not counted where it has one.
    pub models: (usize, Option<usize>),
    /// Its parameters.
    pub parameters: Vec<ParameterInfo>,
}

impl MethodInfo {
    /// The parameter called `name`.
    pub fn parameter(&self, name: &str) -> Option<&ParameterInfo> {
        self.parameters.iter().find(|parameter| parameter.name == name)
    }

    /// Whether the method accepts a parameter and does nothing with it.
    pub fn is_idle(&self, parameter: &str) -> bool {
        self.parameter(parameter).is_some_and(|parameter| parameter.idle)
    }

    /// Whether a `base_model` is something else to it than an ordinary input.
    pub fn has_base(&self) -> bool {
        self.base != BaseUse::Ordinary
    }
}

/// What a method does with `base_model`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum BaseUse {
    /// It cannot run without one: slerp, and everything that works on task vectors.
    Required,
    /// With one it works on task vectors, without on the models themselves.
    Optional,
    /// It has no notion of one: a `base_model` is an ordinary input.
    Ordinary,
}

/// One parameter of a method.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ParameterInfo {
    /// The key under `parameters`.
    pub name: &'static str,
    /// What values it takes.
    pub kind: ParameterKind,
    /// Whether each model has its own value.
    pub scope: Scope,
    /// What it is when not given.
    pub default: DefaultValue,
    /// One line: what it does.
    pub help: &'static str,
    /// Whether it is accepted and does nothing, so that a recipe that gives it is warned. (`int8_mask` does nothing in any method of
    /// ours, but a recipe that has it is right: it speaks to mergekit's memory.)
    pub idle: bool,
}

impl ParameterInfo {
    /// A number whose useful range is `min` to `max`, one for all models.
    pub fn number(name: &'static str, min: f64, max: f64, default: DefaultValue, help: &'static str) -> Self {
        let kind = ParameterKind::Number { min, max, floor: None };
        Self { name, kind, scope: Scope::Shared, default, help, idle: false }
    }

    /// A flag, one for all models.
    pub fn flag(name: &'static str, default: bool, help: &'static str) -> Self {
        let default = DefaultValue::Flag(default);
        Self { name, kind: ParameterKind::Flag, scope: Scope::Shared, default, help, idle: false }
    }

    /// mergekit's `int8_mask`.
    pub fn int8_mask() -> Self {
        Self::flag("int8_mask", false, "Accepted for mergekit's sake: masks here take no memory.")
    }

    /// The same, with values of the models' own.
    #[must_use]
    pub fn of(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    /// The same, refusing numbers below `least`.
    #[must_use]
    pub fn at_least(mut self, least: f64) -> Self {
        if let ParameterKind::Number { floor, .. } = &mut self.kind {
            *floor = Some(least);
        }
        self
    }

    /// The same, accepted and without effect.
    #[must_use]
    pub fn idle(mut self) -> Self {
        self.idle = true;
        self
    }
}

/// What values a parameter takes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub enum ParameterKind {
    /// A number. `min` to `max` is the useful range, for sliders; numbers outside it run, down to `floor`.
    Number {
        /// Lower end of the useful range.
        min: f64,
        /// Upper end of the useful range.
        max: f64,
        /// Numbers below this are refused.
        floor: Option<f64>,
    },
    /// true or false.
    Flag,
}

impl ParameterKind {
    /// `value` as this kind, by mergekit's lenient rules: a text that reads as a number is a number, a flag is 1 or 0; 1, 0 and the
    /// usual words are flags. `None` if it cannot be read so.
    pub fn coerce(self, value: &Value) -> Option<Value> {
        match (self, value) {
            (Self::Number { .. }, Value::Number(number)) => Some(Value::Number(*number)),
            (Self::Number { .. }, Value::Flag(flag)) => Some(Value::Number(f64::from(u8::from(*flag)))),
            (Self::Number { .. }, Value::Text(text)) => text.trim().parse().ok().map(Value::Number),
            (Self::Flag, Value::Flag(flag)) => Some(Value::Flag(*flag)),
            (Self::Flag, Value::Number(number)) if *number == 0.0 || *number == 1.0 => {
                Some(Value::Flag(*number == 1.0))
            }
            (Self::Flag, Value::Number(_)) => None,
            (Self::Flag, Value::Text(text)) => match text.to_ascii_lowercase().as_str() {
                "1" | "on" | "t" | "true" | "y" | "yes" => Some(Value::Flag(true)),
                "0" | "off" | "f" | "false" | "n" | "no" => Some(Value::Flag(false)),
                _ => None,
            },
        }
    }
}

/// Who has a value of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Scope {
    /// One value for the tensor, whatever the model. Filtered by the output tensor's name; under a model it is ignored.
    Shared,
    /// One value an input, the base included. Filtered by the input tensor's name.
    Input,
    /// One value an input, except the base.
    NonBase,
}

/// What a parameter is when nobody gives it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub enum DefaultValue {
    /// It must be given.
    Required,
    /// Nothing: the method does without.
    Absent,
    /// This number.
    Number(f64),
    /// This flag.
    Flag(bool),
}

impl DefaultValue {
    /// The value, if there is one.
    pub fn value(self) -> Option<Value> {
        match self {
            Self::Required | Self::Absent => None,
            Self::Number(number) => Some(Value::Number(number)),
            Self::Flag(flag) => Some(Value::Flag(flag)),
        }
    }
}
