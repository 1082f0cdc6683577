//! Reading settings of `config.json`: a missing or null one is its default, one of the wrong type or size is an error by name.

use serde_json::{Map, Value};

use super::error::{Error, Result};

pub struct Fields<'a>(pub &'a Map<String, Value>);

fn shown(value: &Value) -> String {
    let text = value.to_string();
    // Hostile values may be long.
    text.chars().take(60).collect()
}

impl Fields<'_> {
    /// Whether it is there and not null.
    pub fn has(&self, field: &str) -> bool {
        self.get(field).is_some()
    }

    pub fn get(&self, field: &str) -> Option<&Value> {
        self.0.get(field).filter(|value| !value.is_null())
    }

    pub fn invalid(field: &str, value: &Value, expected: impl Into<String>) -> Error {
        Error::FieldInvalid { field: field.to_owned(), found: shown(value), expected: expected.into() }
    }

    /// The error for a setting that is there and not known.
    pub fn unsupported(&self, field: &str) -> Error {
        let found = self.0.get(field).map_or_else(|| "missing".to_owned(), shown);
        Error::FieldUnsupported { field: field.to_owned(), found }
    }

    /// 1 to `most`.
    pub fn count(&self, field: &'static str, most: usize) -> Result<usize> {
        self.maybe_count(field, most)?.ok_or(Error::FieldMissing(field))
    }

    pub fn count_or(&self, field: &'static str, most: usize, default: usize) -> Result<usize> {
        Ok(self.maybe_count(field, most)?.unwrap_or(default))
    }

    pub fn maybe_count(&self, field: &'static str, most: usize) -> Result<Option<usize>> {
        let Some(value) = self.get(field) else { return Ok(None) };
        match value.as_u64() {
            Some(count) if count >= 1 && count <= most as u64 => Ok(Some(count as usize)),
            _ => Err(Self::invalid(field, value, format!("a whole number from 1 to {most}"))),
        }
    }

    /// Finite.
    pub fn number_or(&self, field: &'static str, default: f64) -> Result<f64> {
        Ok(self.maybe_number(field)?.unwrap_or(default))
    }

    pub fn maybe_number(&self, field: &'static str) -> Result<Option<f64>> {
        let Some(value) = self.get(field) else { return Ok(None) };
        match value.as_f64() {
            Some(number) if number.is_finite() => Ok(Some(number)),
            _ => Err(Self::invalid(field, value, "a number")),
        }
    }

    /// Finite and above 0.
    pub fn positive_or(&self, field: &'static str, default: f64) -> Result<f64> {
        Ok(self.maybe_positive(field)?.unwrap_or(default))
    }

    pub fn maybe_positive(&self, field: &'static str) -> Result<Option<f64>> {
        match self.maybe_number(field)? {
            Some(number) if number <= 0.0 => Err(Error::FieldInvalid {
                field: field.to_owned(),
                found: number.to_string(),
                expected: "above 0".into(),
            }),
            number => Ok(number),
        }
    }

    pub fn flag_or(&self, field: &'static str, default: bool) -> Result<bool> {
        let Some(value) = self.get(field) else { return Ok(default) };
        value.as_bool().ok_or_else(|| Self::invalid(field, value, "true or false"))
    }

    pub fn text(&self, field: &'static str) -> Result<Option<&str>> {
        let Some(value) = self.get(field) else { return Ok(None) };
        value.as_str().map(Some).ok_or_else(|| Self::invalid(field, value, "a text"))
    }

    pub fn map(&self, field: &'static str) -> Result<Option<Fields<'_>>> {
        let Some(value) = self.get(field) else { return Ok(None) };
        value.as_object().map(|map| Some(Fields(map))).ok_or_else(|| Self::invalid(field, value, "an object"))
    }

    /// A list of `length` elements.
    pub fn list(&self, field: &'static str, length: usize) -> Result<Option<&[Value]>> {
        let Some(value) = self.get(field) else { return Ok(None) };
        match value.as_array() {
            Some(list) if list.len() == length => Ok(Some(list)),
            _ => Err(Self::invalid(field, value, format!("a list of {length}"))),
        }
    }
}
