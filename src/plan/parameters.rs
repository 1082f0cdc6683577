//! From what is written to what applies: every parameter of one tensor, resolved by scope, filter and gradient.
//!
//! A source's own setting comes before its slice's, its module's and the recipe's; a list of filters without a match falls through to
//! the next scope.
//! Per-input parameters are filtered by the input tensor's name, shared ones by the output's.

use std::collections::BTreeMap;

use super::{Expected, PlanError};
use crate::method::Resolved;
use crate::recipe::{DefaultValue, MethodInfo, ParameterInfo, ParameterKind, Scope, Setting, Settings, Value};

/// What identifies one tensor to the parameters.
pub(super) struct Subject<'a> {
    /// The output tensor's name.
    pub tensor: &'a str,
    /// Position along the layers, 0 to 1.
    pub t: f64,
    /// Each source: its input's name, its own settings (an unlisted base has none), its tensor's name, whether it is the base.
    pub sources: Vec<SubjectSource<'a>>,
}

/// One source of a [`Subject`].
pub(super) struct SubjectSource<'a> {
    pub input: &'a str,
    pub settings: Option<&'a Settings>,
    pub tensor: &'a str,
    pub is_base: bool,
}

/// Resolves every parameter of the method for one tensor. `scopes` are those that all sources share, the narrowest first.
pub(super) fn resolve(info: &MethodInfo, scopes: &[&Settings], subject: &Subject<'_>) -> Result<Resolved, PlanError> {
    let mut shared = BTreeMap::new();
    for parameter in info.parameters.iter().filter(|parameter| parameter.scope == Scope::Shared) {
        let value = one(parameter, scopes.iter().copied(), subject.tensor, subject.t, None)?;
        shared.extend(value.map(|value| (parameter.name.to_owned(), value)));
    }
    let mut inputs = Vec::with_capacity(subject.sources.len());
    for source in &subject.sources {
        let own = source.settings.into_iter().chain(scopes.iter().copied());
        let mut values = BTreeMap::new();
        for parameter in &info.parameters {
            let applies = match parameter.scope {
                Scope::Shared => false,
                Scope::Input => true,
                Scope::NonBase => !source.is_base,
            };
            if applies {
                let value = one(parameter, own.clone(), source.tensor, subject.t, Some(source.input))?;
                values.extend(value.map(|value| (parameter.name.to_owned(), value)));
            }
        }
        inputs.push(values);
    }
    Ok(Resolved { shared, inputs })
}

/// The value of one parameter; `None` where it has none and needs none.
fn one<'s>(
    parameter: &ParameterInfo,
    scopes: impl Iterator<Item = &'s Settings>,
    tensor: &str,
    t: f64,
    input: Option<&str>,
) -> Result<Option<Value>, PlanError> {
    let bad = |value: &Value, expected| PlanError::BadValue {
        parameter: parameter.name.to_owned(),
        value: match value {
            Value::Flag(flag) => flag.to_string(),
            Value::Number(number) => number.to_string(),
            Value::Text(text) => format!("\"{text}\""),
        },
        tensor: tensor.to_owned(),
        input: input.map(str::to_owned),
        expected,
    };
    for setting in scopes.filter_map(|scope| scope.get(parameter.name)) {
        let typed = typed(setting, parameter.kind).map_err(|(value, expected)| bad(&value, expected))?;
        let Some(value) = typed.resolve(tensor, t) else { continue };
        if let (Value::Number(number), ParameterKind::Number { floor: Some(floor), .. }) = (&value, parameter.kind)
            && *number < floor
        {
            return Err(bad(&value, Expected::AtLeast(floor)));
        }
        return Ok(Some(value));
    }
    if parameter.default == DefaultValue::Required {
        return Err(PlanError::NoValue {
            parameter: parameter.name.to_owned(),
            tensor: tensor.to_owned(),
            input: input.map(str::to_owned),
        });
    }
    Ok(parameter.default.value())
}

/// The setting with every scalar turned into the parameter's kind, before gradients are interpolated.
fn typed(setting: &Setting, kind: ParameterKind) -> Result<Setting, (Value, Expected)> {
    let scalar = |value: &Value| {
        let expected = match kind {
            ParameterKind::Number { .. } => Expected::Number,
            ParameterKind::Flag => Expected::Flag,
        };
        kind.coerce(value)
            .filter(|value| !matches!(value, Value::Number(number) if !number.is_finite()))
            .ok_or_else(|| (value.clone(), expected))
    };
    Ok(match setting {
        Setting::Scalar(value) => Setting::Scalar(scalar(value)?),
        Setting::Gradient(values) => Setting::Gradient(values.iter().map(scalar).collect::<Result<_, _>>()?),
        Setting::Filters(entries) => Setting::Filters(
            entries
                .iter()
                .map(|(filter, setting)| Ok((filter.clone(), typed(setting, kind)?)))
                .collect::<Result<_, (Value, Expected)>>()?,
        ),
    })
}
