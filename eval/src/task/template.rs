//! Jinja templates as lm-evaluation-harness renders them: what is not defined is an error, a last line break stays, and values are
//! written as Python writes them.

use std::cmp::Ordering;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Tuple, ValueKind};
use minijinja::{Environment, ErrorKind, State, UndefinedBehavior, Value as Jinja};
use minijinja_contrib::pycompat::unknown_method_callback;

use crate::python::{literal, pattern::Pattern, text};

use super::Value;

/// Steps after which a template gives up.
const FUEL: u64 = 10_000_000;

/// Templates, each known by its own text.
#[derive(Debug)]
pub(super) struct Templates {
    environment: Environment<'static>,
}

/// What is wrong with a template, and on which of its lines.
#[derive(Debug)]
pub(super) struct TemplateError {
    pub(super) line: usize,
    pub(super) detail: String,
}

impl From<minijinja::Error> for TemplateError {
    fn from(error: minijinja::Error) -> Self {
        let mut detail =
            error.detail().map_or_else(|| error.kind().to_string(), |more| format!("{}: {more}", error.kind()));
        let mut cause = std::error::Error::source(&error);
        while let Some(inner) = cause {
            detail.push_str(&format!(": {inner}"));
            cause = inner.source();
        }
        Self { line: error.line().unwrap_or(1), detail }
    }
}

impl Default for Templates {
    fn default() -> Self {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        let mut syntax = SyntaxConfig::builder();
        syntax.keep_trailing_newline(true);
        if let Ok(syntax) = syntax.build() {
            environment.set_syntax(syntax);
        }
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment.set_fuel(Some(FUEL));
        environment.set_unknown_method_callback(method);
        environment.set_formatter(|output, state, value| {
            if value.is_undefined() {
                // The ordinary formatter knows what to say of it.
                return minijinja::escape_formatter(output, state, value);
            }
            output.write_str(&display(value)?).map_err(minijinja::Error::from)
        });
        // It would write JSON with other spaces and escapes; another package's features may have brought it.
        environment.remove_filter("tojson");
        environment.add_filter("regex_replace", regex_replace);
        environment.add_filter("int", int);
        environment.add_filter("float", float);
        environment.add_filter("string", |value: Jinja| display(&value));
        environment.add_filter("join", join);
        environment.add_filter("capitalize", |value: String| text::capitalized(&value));
        environment.add_filter("indent", indent);
        environment.add_filter("escape", escape);
        environment.add_filter("e", escape);
        for name in ["bool", "chain", "lines", "pprint", "split", "zip"] {
            // Jinja has none of them, or one that writes otherwise.
            environment.remove_filter(name);
        }
        environment.remove_global("debug");
        let has_length = |kind| matches!(kind, ValueKind::String | ValueKind::Seq | ValueKind::Map);
        environment.add_test("sequence", move |value: &Jinja| has_length(value.kind()));
        environment
            .add_test("iterable", move |value: &Jinja| has_length(value.kind()) || value.kind() == ValueKind::Iterable);
        environment.add_filter("trim", |value: String, marks: Option<String>| match marks {
            Some(marks) => value.trim_matches(|c| marks.contains(c)).to_owned(),
            None => text::strip(&value).to_owned(),
        });
        Self { environment }
    }
}

impl Templates {
    /// Reads a template, so that it is known by its text.
    pub(super) fn add(&mut self, template: &str) -> Result<(), TemplateError> {
        // A line ends with `\n` in what Jinja reads.
        let source = template.replace("\r\n", "\n").replace('\r', "\n");
        Ok(self.environment.add_template_owned(template.to_owned(), source)?)
    }

    /// Renders a template that was added with a document's fields.
    pub(super) fn render(&self, template: &str, fields: &Jinja) -> Result<String, TemplateError> {
        let template = self.environment.get_template(template)?;
        template.render(fields.clone()).map_err(|error| {
            let undefined = error.kind() == ErrorKind::UndefinedError;
            let mut wrong = TemplateError::from(error);
            let is_field =
                |name: &String| fields.get_item(&Jinja::from(name.as_str())).is_ok_and(|field| !field.is_undefined());
            let mut names: Vec<String> = template.undeclared_variables(false).into_iter().collect();
            names.retain(|name| !is_field(name) && self.environment.globals().all(|(global, _)| global != name));
            names.sort();
            if undefined && !names.is_empty() {
                wrong.detail.push_str(&format!(": there is no field {}", names.join(", ")));
            }
            wrong
        })
    }
}

/// The form in which templates see values.
pub(super) fn to_jinja(value: &Value) -> Jinja {
    match value {
        Value::None => Jinja::from(()),
        Value::Bool(flag) => Jinja::from(*flag),
        Value::Int(number) => Jinja::from(*number),
        Value::Float(number) => Jinja::from(*number),
        Value::Text(text) => Jinja::from(text.as_str()),
        Value::List(items) => items.iter().map(to_jinja).collect::<Vec<_>>().into(),
        Value::Map(pairs) => Jinja::from_pairs(pairs.iter().map(|(key, value)| (key.as_str(), to_jinja(value)))),
    }
}

/// A value that holds no others.
fn from_jinja(value: &Jinja) -> Result<Value, minijinja::Error> {
    Ok(match value.kind() {
        ValueKind::None => Value::None,
        ValueKind::Bool => Value::Bool(value.is_true()),
        ValueKind::Number => match (value.is_integer(), i64::try_from(value.clone())) {
            (true, Ok(number)) => Value::Int(number),
            _ => Value::Float(f64::try_from(value.clone())?),
        },
        ValueKind::String => Value::Text(value.as_str().unwrap_or_default().to_owned()),
        kind => return Err(minijinja::Error::new(ErrorKind::InvalidOperation, format!("{kind} cannot be written"))),
    })
}

/// `str(value)`.
fn display(value: &Jinja) -> Result<String, minijinja::Error> {
    value.as_str().map_or_else(|| represent(value), |text| Ok(text.to_owned()))
}

/// `repr(value)`; a tuple stays one.
fn represent(value: &Jinja) -> Result<String, minijinja::Error> {
    let items = || value.try_iter()?.map(|item| represent(&item)).collect::<Result<Vec<_>, _>>();
    match value.kind() {
        ValueKind::Seq | ValueKind::Iterable if value.is_tuple() => {
            let items = items()?;
            let last = if items.len() == 1 { "," } else { "" };
            Ok(format!("({}{last})", items.join(", ")))
        }
        ValueKind::Seq | ValueKind::Iterable => Ok(format!("[{}]", items()?.join(", "))),
        ValueKind::Map => {
            let pair = |key: Jinja| Ok(format!("{}: {}", represent(&key)?, represent(&value.get_item(&key)?)?));
            Ok(format!("{{{}}}", value.try_iter()?.map(pair).collect::<Result<Vec<_>, minijinja::Error>>()?.join(", ")))
        }
        _ => Ok(text::represent(&from_jinja(value)?)),
    }
}

fn wrong(detail: impl Into<std::borrow::Cow<'static, str>>) -> minijinja::Error {
    minijinja::Error::new(ErrorKind::InvalidOperation, detail)
}

#[allow(clippy::needless_pass_by_value, reason = "minijinja gives what is named by value")]
fn regex_replace(
    text: &str,
    pattern: &str,
    replacement: &str,
    count: Option<usize>,
    options: Kwargs,
) -> Result<String, minijinja::Error> {
    let count = match count {
        Some(count) => count,
        None => options.get::<Option<usize>>("count")?.unwrap_or(0),
    };
    options.assert_all_used()?;
    let pattern = Pattern::new(pattern).map_err(|error| wrong(error.to_string()))?;
    pattern.replace(text, replacement, count).map_err(|error| wrong(error.to_string()))
}

/// `int(value)`, of the whole part where it is a text with decimals, or `default`.
fn int(value: &Jinja, default: Option<i64>) -> Result<i64, minijinja::Error> {
    let default = default.unwrap_or(0);
    let whole = |number: f64| {
        let fits = number.abs() < 9e18;
        if fits { Ok(number as i64) } else { Err(wrong(format!("{} is too large for int", text::float(number)))) }
    };
    match from_jinja(value).unwrap_or(Value::None) {
        Value::Int(number) => Ok(number),
        Value::Bool(flag) => Ok(i64::from(flag)),
        Value::Float(number) if number.is_finite() => whole(number),
        Value::Text(text) => {
            let text = text::strip(&text);
            match (text.parse::<i64>(), text.parse::<f64>()) {
                (Ok(number), _) => Ok(number),
                (_, Ok(number)) if number.is_finite() => whole(number),
                _ => Ok(default),
            }
        }
        _ => Ok(default),
    }
}

fn float(value: &Jinja, default: Option<f64>) -> f64 {
    let default = default.unwrap_or(0.0);
    match from_jinja(value).unwrap_or(Value::None) {
        Value::Int(number) => number as f64,
        Value::Bool(flag) => f64::from(u8::from(flag)),
        Value::Float(number) => number,
        Value::Text(text) => text::strip(&text).parse().unwrap_or(default),
        _ => default,
    }
}

fn join(value: &Jinja, between: Option<String>, attribute: Option<&Jinja>) -> Result<String, minijinja::Error> {
    let between = between.unwrap_or_default();
    let mut parts = Vec::new();
    for item in value.try_iter()? {
        let item = match attribute {
            Some(name) => item.get_item(name)?,
            None => item,
        };
        parts.push(display(&item)?);
    }
    Ok(parts.join(&between))
}

/// Every line but the first and the empty ones further right, or those as well.
#[allow(clippy::needless_pass_by_value, reason = "minijinja gives what is named by value")]
fn indent(
    value: &str,
    width: Option<usize>,
    first: Option<bool>,
    blank: Option<bool>,
    options: Kwargs,
) -> Result<String, minijinja::Error> {
    let named = |name: &str, given: Option<bool>| match given {
        Some(flag) => Ok::<_, minijinja::Error>(flag),
        None => Ok(options.get::<Option<bool>>(name)?.unwrap_or(false)),
    };
    let (first, blank) = (named("first", first)?, named("blank", blank)?);
    let width = width.or(options.get("width")?).unwrap_or(4);
    options.assert_all_used()?;
    let margin = " ".repeat(width.min(1 << 16));
    let mut indented = String::new();
    // What is behind the last line break is a line here, if it is empty, too.
    for (index, line) in text::lines(&format!("{value}\n"), false).into_iter().enumerate() {
        indented.push_str(if index > 0 { "\n" } else { "" });
        let moved = if index == 0 { first } else { blank || !line.is_empty() };
        indented.push_str(if moved { &margin } else { "" });
        indented.push_str(line);
    }
    Ok(indented)
}

fn escape(value: &Jinja) -> Result<String, minijinja::Error> {
    let mut escaped = display(value)?.replace('&', "&amp;");
    for (mark, written) in [('<', "&lt;"), ('>', "&gt;"), ('\'', "&#39;"), ('"', "&#34;")] {
        escaped = escaped.replace(mark, written);
    }
    Ok(escaped)
}

/// Python's methods that public tasks call and minijinja's own compatibility lacks, or gives otherwise.
fn method(state: &mut State, value: &Jinja, name: &str, arguments: &[Jinja]) -> Result<Jinja, minijinja::Error> {
    let texts = || -> Result<Vec<&str>, minijinja::Error> {
        arguments
            .iter()
            .map(|argument| argument.as_str().ok_or_else(|| wrong(format!("{name}() takes texts here"))))
            .collect()
    };
    if value.kind() == ValueKind::Seq || value.kind() == ValueKind::Iterable {
        return match (name, arguments) {
            ("index", [wanted]) => {
                for (index, item) in value.try_iter()?.enumerate() {
                    if same(&item, wanted) {
                        return Ok(index.into());
                    }
                }
                Err(wrong(format!("{} is not in the list", represent(wanted)?)))
            }
            _ => unknown_method_callback(state, value, name, arguments),
        };
    }
    let Some(text) = value.as_str() else { return unknown_method_callback(state, value, name, arguments) };
    match (name, arguments.len()) {
        ("capitalize", 0) => Ok(text::capitalized(text).into()),
        ("title", 0) => Ok(text::titled(text).into()),
        ("splitlines", 0 | 1) => {
            let keep = arguments.first().is_some_and(Jinja::is_true);
            Ok(text::lines(text, keep).into_iter().map(Jinja::from).collect::<Vec<_>>().into())
        }
        ("strip", 0) => Ok(text::strip(text).into()),
        ("lstrip", 0) => Ok(text.trim_start_matches(text::is_space).into()),
        ("rstrip", 0) => Ok(text.trim_end_matches(text::is_space).into()),
        ("index", 1) => {
            let found = text.find(texts()?[0]).ok_or_else(|| wrong("substring not found"))?;
            Ok(text[..found].chars().count().into())
        }
        ("removeprefix", 1) => Ok(text.strip_prefix(texts()?[0]).unwrap_or(text).into()),
        ("removesuffix", 1) => Ok(text.strip_suffix(texts()?[0]).unwrap_or(text).into()),
        ("partition" | "rpartition", 1) => {
            let at = texts()?[0];
            let parts = if name == "partition" { text.split_once(at) } else { text.rsplit_once(at) };
            let parts = parts.map_or_else(
                || if name == "partition" { [text, "", ""] } else { ["", "", text] },
                |(before, after)| [before, at, after],
            );
            Ok(Tuple::from(parts.map(Jinja::from)).into())
        }
        ("swapcase", 0) => {
            let swap = |c: char| -> String {
                if c.is_lowercase() { c.to_uppercase().collect() } else { c.to_lowercase().collect() }
            };
            Ok(text.chars().map(swap).collect::<String>().into())
        }
        ("zfill", 1) => {
            let width = usize::try_from(arguments[0].clone())?.min(1 << 16);
            let (sign, digits) = text.strip_prefix(['-', '+']).map_or(("", text), |rest| (&text[..1], rest));
            let zeros = width.saturating_sub(text.chars().count());
            Ok(format!("{sign}{}{digits}", "0".repeat(zeros)).into())
        }
        ("join", 1) => {
            let mut parts = Vec::new();
            for part in arguments[0].try_iter()? {
                parts.push(part.as_str().ok_or_else(|| wrong("join() takes a list of texts"))?.to_owned());
            }
            Ok(parts.join(text).into())
        }
        _ => unknown_method_callback(state, value, name, arguments),
    }
}

/// `==`, in which numbers and flags are one kind.
fn same(one: &Jinja, other: &Jinja) -> bool {
    one.partial_cmp(other) == Some(Ordering::Equal) && one == other
}

/// What `ast.literal_eval` makes of a rendered text.
pub(super) fn literal(rendered: &str) -> Result<Value, String> {
    literal::evaluate(rendered).map_err(|error| format!("{error}, in {}", text::quoted(rendered)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn golden() -> serde_json::Value {
        serde_json::from_str(include_str!("../../tests/golden/tasks/templates.json")).unwrap()
    }

    fn render(template: &str) -> Result<String, TemplateError> {
        let mut templates = Templates::default();
        templates.add(template)?;
        templates.render(template, &to_jinja(&Value::from(golden()["fields"].take())))
    }

    #[test]
    fn templates_give_what_jinja_gives_in_python() {
        let golden = golden();
        let rendered = golden["rendered"].as_array().unwrap();
        assert!(rendered.len() > 20);
        let mut wrong = Vec::new();
        for pair in rendered {
            let (template, expected) = (pair[0].as_str().unwrap(), pair[1].as_str().unwrap());
            match render(template) {
                Ok(rendered) if rendered == expected => {}
                other => wrong.push(format!("{template:?}\n  wants {expected:?}\n  gives {other:?}")),
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn what_is_not_defined_is_an_error() {
        for template in [
            "{{missing}}",
            "{{choices.missing}}",
            "{% if missing %}{% endif %}",
            "{{n|nofilter}}",
            "{{words.nomethod()}}",
            "{{words.index('z')}}",
            "{{words|tojson}}",
            "{{question|split}}",
            "{{words|zip(words)|list}}",
            "{{debug()}}",
            "{{1e20|int}}",
            "{{'123456789012345678901'|int}}",
            "{{",
            "{% for %}",
        ] {
            assert!(render(template).is_err(), "{template}");
        }
        let wrong = render("a\nb\n{{question ~ missing}}").unwrap_err();
        assert_eq!((wrong.line, wrong.detail.as_str()), (3, "undefined value: there is no field missing"));
    }
}
