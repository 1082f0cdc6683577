//! Sentences of the region in which several models answer one prompt.

use merge_studio_web::ui::numbers;
use merge_studio_web::ui::words::count;

use crate::protocol::End;
use crate::view::ask::{Answer, Number, Stage};

pub const REGION: &str = "Side by side";
/// Before anything was asked.
pub const TEACH: &str = "One prompt, and up to four models that answer next to each other, in this tab. Scores say how often a merge is right; its \
    answers show how it talks.";
pub const MODELS: &str = "Who answers";
pub const AT_MOST: &str = "Four at most. Uncheck one to choose another.";
pub const SETTINGS: &str = "How";
pub const ANSWERS: &str = "Answers";
pub const GREEDY: &str = "greedy";
pub const SAMPLED: &str = "sampled";
pub const LONGEST: &str = "Longest answer (tokens)";
pub const TEMPERATURE: &str = "Temperature";
pub const TOP_P: &str = "Top p";
pub const TOP_K: &str = "Top k (0: all)";
pub const SEED: &str = "Seed";
pub const CHAT: &str = "Chat template";
pub const CHAT_WHAT: &str = "A model that has none gets the bare prompt. Its answer says so.";
pub const SYSTEM: &str = "System message (optional)";
pub const SYSTEM_WHAT: &str =
    "Goes before the prompt where a model's chat template has a place for it. An answer without it says so.";
pub const SYSTEM_OFF: &str = "Only with the chat template.";
pub const PROMPT: &str = "Prompt";
pub const ASK: &str = "Ask";
pub const CANCEL: &str = "Cancel";
pub const EXAMPLES: &str = "What the demo models know:";
pub const BUSY: &str = "Models can be asked when the evaluation or the sweep is over: it needs the memory.";
pub const ANSWERING: &str = "Answering …";
pub const CANCELLED: &str = "Cancelled. What was written so far stays.";

/// When all is over.
pub fn answered(answered: usize, failed: usize) -> String {
    let models = |number: usize| count(number as u64, "model", "models");
    let verb = |number: usize| if number == 1 { "has" } else { "have" };
    match (answered, failed) {
        (_, 0) => format!("{} {} answered.", models(answered), verb(answered)),
        (0, _) => "No model could answer.".to_owned(),
        _ => format!("{} {} answered, {failed} could not.", models(answered), verb(answered)),
    }
}

pub fn out_of_range(number: &Number) -> String {
    let (least, most) = (number.range.start(), number.range.end());
    if number.is_whole {
        format!("A whole number from {least} to {}.", numbers::grouped(*most as u64))
    } else {
        format!("A number from {least} to {most}.")
    }
}

/// How far an answer is, and what there is to know of it.
pub fn stage(answer: &Answer) -> String {
    let tokens = count(answer.tokens as u64, "token", "tokens");
    let mut said = match &answer.stage {
        Stage::Waiting => return "Its turn comes when another has answered.".to_owned(),
        Stage::Starting => return "Starting …".to_owned(),
        Stage::Loading => return "The model is being read …".to_owned(),
        Stage::Reading => vec!["reads the prompt …".to_owned()],
        Stage::Writing => vec![format!("{tokens} …")],
        Stage::Cancelled => vec![tokens, "cancelled".to_owned()],
        Stage::Refused(_) | Stage::Died(_) => vec![tokens],
        Stage::Ended(end) => {
            let mut said = vec![tokens];
            said.extend(answer.tokens_a_second.map(|pace| format!("{} tokens/s", figure(pace))));
            said.extend(ended(*end).map(str::to_owned));
            said
        }
    };
    said.extend(answer.is_chat.map(|is_chat| if is_chat { "chat template" } else { "bare prompt" }.to_owned()));
    if answer.is_chat.is_some() && answer.wants_system && !answer.has_system {
        said.push("without the system message".to_owned());
    }
    said.join(" · ")
}

fn ended(end: End) -> Option<&'static str> {
    match end {
        End::Itself => None,
        End::Longest => Some("cut at the longest answer"),
        End::Context => Some("cut where its context is full"),
    }
}

/// Three digits.
fn figure(pace: f64) -> String {
    if pace < 9.95 { format!("{pace:.1}") } else { numbers::grouped(pace.round() as u64) }
}

/// A model whose worker is no more.
pub fn died(model: &str, why: &str) -> String {
    format!("{model} ran out of memory or died ({why}). Ask fewer or smaller models, or close other tabs.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_told_with_the_numbers_of_models() {
        assert_eq!(answered(1, 0), "1 model has answered.");
        assert_eq!(answered(3, 1), "3 models have answered, 1 could not.");
        assert_eq!(answered(0, 2), "No model could answer.");
    }

    #[test]
    fn an_answer_says_why_it_is_short() {
        let answer = Answer {
            stage: Stage::Ended(End::Longest),
            tokens: 200,
            tokens_a_second: Some(41.6),
            is_chat: Some(true),
            ..Answer::default()
        };
        assert_eq!(stage(&answer), "200 tokens · 42 tokens/s · cut at the longest answer · chat template");
        let answer = Answer { wants_system: true, is_chat: Some(false), stage: Stage::Ended(End::Itself), ..answer };
        assert_eq!(stage(&answer), "200 tokens · 42 tokens/s · bare prompt · without the system message");
    }
}
