//! A model's answer: how far it is, and its article.

use yew::prelude::*;

use crate::protocol::{End, Refusal, Reply};
use crate::view::crew::Turn;
use crate::view::words::{self, ask};

/// How far an answer is.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Stage {
    /// Until others have answered.
    #[default]
    Waiting,
    /// The worker has its order.
    Starting,
    Loading,
    /// The prompt is read.
    Reading,
    Writing,
    Ended(End),
    Cancelled,
    Refused(Refusal),
    /// The worker died: its last words.
    Died(String),
}

/// What a model answered so far.
#[derive(Default)]
pub struct Answer {
    pub stage: Stage,
    pub text: String,
    pub tokens: usize,
    pub tokens_a_second: Option<f64>,
    /// Whether the prompt went through the model's chat template, once it is known.
    pub is_chat: Option<bool>,
    /// Whether there is a system message for it.
    pub wants_system: bool,
    /// Whether it got that.
    pub has_system: bool,
}

impl Answer {
    /// Takes in what the model says. What was on its way when the answer was cancelled comes too late.
    pub fn hear(&mut self, reply: Reply) {
        if !self.is_going() {
            return;
        }
        match reply {
            Reply::Loading => self.stage = Stage::Loading,
            Reply::Reading { is_chat, has_system } => {
                self.stage = Stage::Reading;
                self.is_chat = Some(is_chat);
                self.has_system = has_system;
            }
            Reply::Wrote { text, tokens } => {
                self.stage = Stage::Writing;
                self.text.push_str(&text);
                self.tokens = tokens;
            }
            Reply::Ended { end, tokens_a_second } => {
                self.stage = Stage::Ended(end);
                self.tokens_a_second = tokens_a_second;
            }
            Reply::Refused(why) => self.stage = Stage::Refused(why),
        }
    }

    /// Ends it where it is; whether it was not over.
    pub fn cancel(&mut self) -> bool {
        let is_going = self.is_going();
        if is_going {
            self.stage = Stage::Cancelled;
        }
        is_going
    }

    pub fn is_going(&self) -> bool {
        self.turn() != Turn::Over
    }

    /// Whether its worker is at it.
    pub fn turn(&self) -> Turn {
        match self.stage {
            Stage::Waiting => Turn::Waits,
            Stage::Starting | Stage::Loading | Stage::Reading | Stage::Writing => Turn::AtWork,
            Stage::Ended(_) | Stage::Cancelled | Stage::Refused(_) | Stage::Died(_) => Turn::Over,
        }
    }

    /// Whether its worker has the model, and is at it.
    pub fn is_loaded(&self) -> bool {
        matches!(self.stage, Stage::Reading | Stage::Writing)
    }

    pub fn has_failed(&self) -> bool {
        matches!(self.stage, Stage::Refused(_) | Stage::Died(_))
    }
}

/// The article of the model at a place.
pub fn view(at: usize, model: &str, answer: &Answer) -> Html {
    let id = format!("ask-answer-{at}");
    let failed = match &answer.stage {
        Stage::Refused(why) => Some(words::refused(model, why)),
        Stage::Died(why) => Some(ask::died(model, why)),
        _ => None,
    };
    html! {
        <article class="ask-answer" aria-labelledby={id.clone()}>
            <h3 {id}>{ model.to_owned() }</h3>
            <p class="aside">{ ask::stage(answer) }</p>
            if let Some(failed) = failed {
                <p class="note is-error" role="alert">{ failed }</p>
            }
            if answer.tokens > 0 {
                <p class="ask-text">{ if answer.is_going() { answer.text.clone() } else { words::written(&answer.text) } }</p>
            }
        </article>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_behind_each_other_and_stay_when_it_is_cancelled() {
        let mut answer = Answer::default();
        assert!(answer.is_going() && answer.turn() == Turn::Waits);
        answer.hear(Reply::Reading { is_chat: true, has_system: false });
        answer.hear(Reply::Wrote { text: "one ".into(), tokens: 1 });
        answer.hear(Reply::Wrote { text: "two".into(), tokens: 2 });
        assert!(answer.cancel());
        assert_eq!((answer.text.as_str(), answer.tokens, &answer.stage), ("one two", 2, &Stage::Cancelled));
        assert!(!answer.cancel());
        answer.hear(Reply::Wrote { text: "three".into(), tokens: 3 });
        assert_eq!((answer.text.as_str(), answer.is_going()), ("one two", false));
    }

    #[test]
    fn what_is_over_is_not_cancelled() {
        for reply in [Reply::Ended { end: End::Itself, tokens_a_second: None }, Reply::Refused(Refusal::Adapter)] {
            let mut answer = Answer::default();
            answer.hear(reply);
            let stage = answer.stage.clone();
            assert!(!answer.cancel());
            assert_eq!(answer.stage, stage);
        }
    }
}
