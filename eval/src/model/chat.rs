//! Chats as prompts: a model's own Jinja template.

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, ErrorKind, Value, context};

use super::error::{Error, Result};
use super::tokenizer::Tokenizer;

/// One turn of a chat.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// `system`, `user` or `assistant`.
    pub role: String,
    pub content: String,
}

/// A model's template may ask for much; this many steps are more than any needs.
const FUEL: u64 = 1_000_000;

impl Tokenizer {
    pub fn has_chat_template(&self) -> bool {
        self.chat_template.is_some()
    }

    /// The prompt that a chat is to this model; `open`: the assistant's turn is next. `strftime_now` is left undefined, so that a
    /// prompt does not depend on the day.
    pub fn chat(&self, messages: &[Message], open: bool) -> Result<String> {
        let template = self.chat_template.as_ref().ok_or(Error::NoTemplate)?;
        let failed = |error: minijinja::Error| Error::Template(error.to_string());
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().map_err(failed)?;
        environment.set_syntax(syntax);
        environment.set_fuel(Some(FUEL));
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function(
            "raise_exception",
            |message: String| -> std::result::Result<String, minijinja::Error> {
                Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
            },
        );
        environment.add_template("chat", template).map_err(failed)?;
        for (role, token) in &self.roles {
            environment.add_global(role.clone(), token.clone());
        }
        let template = environment.get_template("chat").map_err(failed)?;
        let turn = |message: &Message| Value::from_pairs([("role", &message.role), ("content", &message.content)]);
        let messages: Vec<Value> = messages.iter().map(turn).collect();
        template.render(context! { messages, add_generation_prompt => open }).map_err(failed)
    }
}
