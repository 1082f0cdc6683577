//! Prompts, one after the other, to a model that stays between them.

use std::cell::{Cell, RefCell};

use merge_studio_eval::Generation;
use merge_studio_eval::model::{Message, Model};
use merge_studio_web::wire;
use web_sys::Blob;

use super::shelf::Shelf;
use super::{models, tell};
use crate::protocol::{End, Prompt, Refusal, Reply, Said};

/// Milliseconds between pieces of an answer, and between looks at what else is ordered.
const PIECE_EVERY: f64 = 50.0;

/// Where prompts wait, and the model. While it answers it is not there.
#[derive(Default)]
pub struct Desk {
    model: RefCell<Option<Model>>,
    next: RefCell<Option<(Prompt, Vec<Blob>)>>,
    is_busy: Cell<bool>,
    is_stopped: Cell<bool>,
}

impl Desk {
    /// Answers a prompt, as soon as the one before has noticed that it is over.
    pub async fn take(&self, prompt: Prompt, files: Vec<Blob>) {
        self.next.replace(Some((prompt, files)));
        if self.is_busy.replace(true) {
            return;
        }
        while let Some((prompt, files)) = self.next.take() {
            self.is_stopped.set(false);
            let say = |reply: Reply| tell(&Said::Reply { number: prompt.number, reply });
            if let Err(why) = self.answer(&prompt, files, &say).await {
                say(Reply::Refused(why));
            }
        }
        self.is_busy.set(false);
    }

    /// Ends the answer that is being written.
    pub fn stop(&self) {
        self.next.take();
        self.is_stopped.set(true);
    }

    fn is_over(&self) -> bool {
        self.is_stopped.get() || self.next.borrow().is_some()
    }

    async fn answer(&self, prompt: &Prompt, files: Vec<Blob>, say: &impl Fn(Reply)) -> Result<(), Refusal> {
        let model = self.model.take();
        let mut model = if let Some(model) = model {
            model
        } else {
            say(Reply::Loading);
            models::Origin::Folder(models::folder(&prompt.model, files, &Shelf::default())).load().await?
        };
        let written = self.write(&mut model, prompt, say).await;
        self.model.replace(Some(model));
        written
    }

    async fn write(&self, model: &mut Model, prompt: &Prompt, say: &impl Fn(Reply)) -> Result<(), Refusal> {
        let refused = |error| models::refused(&error);
        let tokenizer = model.tokenizer();
        let is_chat = prompt.chat && tokenizer.has_chat_template();
        let turn = |role: &str, text: &str| Message { role: role.to_owned(), content: text.to_owned() };
        let mut text = prompt.text.clone();
        let mut has_system = false;
        if is_chat {
            let user = turn("user", &prompt.text);
            text = tokenizer.chat(std::slice::from_ref(&user), true).map_err(refused)?;
            if !prompt.system.is_empty() {
                let with = tokenizer.chat(&[turn("system", &prompt.system), user], true).map_err(refused)?;
                // Some templates pass over what they do not know.
                has_system = with != text;
                text = with;
            }
        }
        say(Reply::Reading { is_chat, has_system });
        // The whole prompt counts: rather the answer is shorter.
        let (length, context) = (tokenizer.encode_prompt(&text).map_err(refused)?.len(), model.context());
        let room = context.checked_sub(length).filter(|room| *room > 0);
        let room = room.ok_or(Refusal::Prompt { tokens: length, context })?;
        let mut generator = model.generator(&text, &generation(prompt, room)).map_err(refused)?;
        let (mut piece, mut first) = (String::new(), None);
        let mut last = now();
        while let Some(more) = generator.step(model).map_err(refused)? {
            piece.push_str(&more);
            let at = now();
            let first = *first.get_or_insert(at);
            let tokens = generator.answered().tokens;
            if generator.is_finished() {
                say(Reply::Wrote { text: piece, tokens });
                let tokens_a_second = (at > first).then(|| (tokens - 1) as f64 * 1000.0 / (at - first));
                say(Reply::Ended { end: end(generator.is_cut(), prompt, room), tokens_a_second });
                return Ok(());
            }
            if at - last >= PIECE_EVERY {
                say(Reply::Wrote { text: std::mem::take(&mut piece), tokens });
                wire::pause(0).await;
                if self.is_over() {
                    return Ok(());
                }
                last = now();
            }
        }
        Ok(())
    }
}

/// Milliseconds, finer than a date's: a small model writes several tokens in one.
fn now() -> f64 {
    wire::scope().performance().map_or(0.0, |clock| clock.now())
}

fn generation(prompt: &Prompt, room: usize) -> Generation {
    let mut how = Generation {
        until: Vec::new(),
        max_tokens: prompt.longest.min(room),
        temperature: 0.0,
        top_p: 1.0,
        top_k: 0,
        seed: 0,
    };
    if let Some(sampling) = &prompt.sampling {
        how.temperature = sampling.temperature;
        how.top_p = sampling.top_p;
        how.top_k = sampling.top_k;
        how.seed = sampling.seed;
    }
    how
}

fn end(is_cut: bool, prompt: &Prompt, room: usize) -> End {
    match (is_cut, prompt.longest <= room) {
        (false, _) => End::Itself,
        (true, true) => End::Longest,
        (true, false) => End::Context,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{ModelFiles, Sampling};

    fn prompt(longest: usize, sampling: Option<Sampling>) -> Prompt {
        let model = ModelFiles { name: String::new(), paths: Vec::new() };
        Prompt { number: 0, model, text: String::new(), system: String::new(), chat: false, longest, sampling }
    }

    #[test]
    fn an_answer_is_as_long_as_wanted_or_as_there_is_room() {
        for (longest, room, tokens, cut) in [(5, 9, 5, End::Longest), (9, 9, 9, End::Longest), (9, 5, 5, End::Context)]
        {
            let prompt = prompt(longest, None);
            assert_eq!(generation(&prompt, room).max_tokens, tokens);
            assert_eq!(end(true, &prompt, room), cut);
            assert_eq!(end(false, &prompt, room), End::Itself);
        }
    }

    #[test]
    fn what_is_not_sampled_is_greedy() {
        let greedy = generation(&prompt(5, None), 9);
        assert_eq!(greedy.temperature, 0.0);
        let sampling = Sampling { temperature: 0.5, top_p: 0.9, top_k: 3, seed: 7 };
        let drawn = generation(&prompt(5, Some(sampling)), 9);
        assert_eq!((drawn.temperature, drawn.top_p, drawn.top_k, drawn.seed), (0.5, 0.9, 3, 7));
    }
}
