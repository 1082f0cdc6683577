//! The chat template: which one a recipe's `chat_template` stands for, and where a folder keeps it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::tokenizer::TokenizerFiles;

/// The file that holds the template since transformers 4.43; it wins over tokenizer_config.json.
pub const TEMPLATE_FILE: &str = "chat_template.jinja";
/// A file of processors' templates, which a template of the recipe replaces.
pub const OLD_TEMPLATE_FILE: &str = "chat_template.json";
/// The rule that takes the template of most models.
pub const AUTO: &str = "auto";

/// The templates that go by a name.
pub const BUILT_IN: [(&str, &str); 5] = [
    ("alpaca", include_str!("templates/alpaca.jinja")),
    ("chatml", include_str!("templates/chatml.jinja")),
    ("exaone", include_str!("templates/exaone.jinja")),
    ("llama3", include_str!("templates/llama3.jinja")),
    ("mistral", include_str!("templates/mistral.jinja")),
];

/// A `chat_template` that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("chat_template is {found:?}, which is neither auto, nor a name ({}), nor a Jinja template", names())]
pub struct TemplateError {
    /// The beginning of what was written.
    pub found: String,
}

fn names() -> String {
    BUILT_IN.map(|(name, _)| name).join(", ")
}

/// The template that the recipe's `rule` stands for; `models` are the files of its models, in the order of the recipe.
///
/// `auto` takes the one that most models have, of equally many the one that comes first, and none where no model has one.
///
/// # Errors
/// The rule is no name that is known, and no template.
pub fn chosen(rule: &str, models: &[&TokenizerFiles]) -> Result<Option<String>, TemplateError> {
    if rule == AUTO {
        let mut counted: Vec<(String, usize)> = Vec::new();
        for template in models.iter().filter_map(|files| template_of(files)) {
            match counted.iter_mut().find(|(known, _)| *known == template) {
                Some((_, count)) => *count += 1,
                None => counted.push((template, 1)),
            }
        }
        let most = counted.iter().map(|(_, count)| *count).max();
        return Ok(counted.into_iter().find(|(_, count)| Some(*count) == most).map(|(template, _)| template));
    }
    if let Some((_, text)) = BUILT_IN.iter().find(|(name, _)| *name == rule) {
        return Ok(Some((*text).to_owned()));
    }
    // The shortest text that mergekit takes for a template.
    if rule.chars().count() < 20 || !rule.contains('{') {
        return Err(TemplateError { found: rule.chars().take(40).collect() });
    }
    Ok(Some(rule.to_owned()))
}

/// A folder's chat template, without white space around it: chat_template.jinja, else `chat_template` of tokenizer_config.json (of
/// several, the one called `default`), else chat_template.json.
pub fn template_of(files: &TokenizerFiles) -> Option<String> {
    let inside = |file: &str| {
        let value: Value = serde_json::from_str(files.text(file)?).ok()?;
        default_of(value.get("chat_template")?).map(str::to_owned)
    };
    let text = files.text(TEMPLATE_FILE).map(str::to_owned);
    let text = text.or_else(|| inside("tokenizer_config.json")).or_else(|| inside(OLD_TEMPLATE_FILE))?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

fn default_of(templates: &Value) -> Option<&str> {
    match templates {
        Value::String(text) => Some(text),
        Value::Object(named) => named.get("default")?.as_str(),
        Value::Array(list) => list.iter().find(|item| item["name"] == "default")?["template"].as_str(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn files(name: &str, text: &str) -> TokenizerFiles {
        let mut files = TokenizerFiles::default();
        files.insert(name, text.into());
        files
    }

    fn config(template: &str) -> TokenizerFiles {
        files("tokenizer_config.json", &serde_json::json!({ "chat_template": template }).to_string())
    }

    #[test]
    fn a_template_is_found_wherever_folders_keep_it() {
        assert_eq!(template_of(&config(" {{x}}\n")), Some("{{x}}".into()));
        let mut both = config("old");
        both.insert(TEMPLATE_FILE, b"new\n".to_vec());
        assert_eq!(template_of(&both), Some("new".into()));
        let list = r#"{"chat_template": [{"name": "tool", "template": "t"}, {"name": "default", "template": "d"}]}"#;
        assert_eq!(template_of(&files("tokenizer_config.json", list)), Some("d".into()));
        let map = r#"{"chat_template": {"default": "d", "rag": "r"}}"#;
        assert_eq!(template_of(&files("tokenizer_config.json", map)), Some("d".into()));
        assert_eq!(template_of(&files(OLD_TEMPLATE_FILE, r#"{"chat_template": "p"}"#)), Some("p".into()));
        for none in [
            r#"{"chat_template": {"rag": "r"}}"#,
            r#"{"chat_template": null}"#,
            "{}",
            "[",
            "{\"chat_template\": \" \"}",
        ] {
            assert_eq!(template_of(&files("tokenizer_config.json", none)), None, "{none}");
        }
    }

    #[test]
    fn auto_takes_the_most_common_and_of_equals_the_first() {
        let (a, b, none) = (config("a"), config("b"), TokenizerFiles::default());
        assert_eq!(chosen("auto", &[&a, &b, &b, &none]), Ok(Some("b".into())));
        assert_eq!(chosen("auto", &[&b, &a]), Ok(Some("b".into())));
        assert_eq!(chosen("auto", &[&none, &a, &b, &config(" a ")]), Ok(Some("a".into())));
        assert_eq!(chosen("auto", &[&none]), Ok(None));
    }

    #[test]
    fn names_and_texts_are_told_apart() {
        for (name, text) in BUILT_IN {
            assert_eq!(chosen(name, &[]), Ok(Some(text.to_owned())));
            assert!(
                text.contains("messages") && text.contains("add_generation_prompt") != (name == "mistral"),
                "{name}"
            );
        }
        let text = "{% for m in messages %}{{ m.content }}{% endfor %}";
        assert_eq!(chosen(text, &[]), Ok(Some(text.to_owned())));
        for bad in ["chat-ml", "{{ x }}", "a long text without any braces in it", ""] {
            assert!(chosen(bad, &[]).is_err(), "{bad}");
        }
    }
}
