//! Workers and orders that wait for them: as many are at work at once as the machine has room for.

use js_sys::Array;
use merge_studio_web::crew;
use wasm_bindgen::JsValue;
use yew::Callback;

use super::examiner::Examiner;
use crate::protocol::{Order, Said};

const GIB: f64 = (1_u64 << 30) as f64;
/// GiB for models where the browser does not tell how much memory there is.
const UNTOLD: f64 = 4.0;

/// How much may be at work at once.
#[derive(Clone, Copy)]
pub struct Limits {
    workers: usize,
    bytes: u64,
}

impl Limits {
    /// A worker a processor, and half of the machine's memory for models.
    ///
    /// A worker that takes more than there is ends, and its model's answers with it, or the whole tab does: so the other half is for the
    /// rest of the machine, and for what a model takes beside its weights.
    pub fn of_browser() -> Self {
        let gib = crew::device_memory().map_or(UNTOLD, |memory| memory / 2.0);
        let processors = gloo::utils::window().navigator().hardware_concurrency();
        Self { workers: processors as usize, bytes: (gib * GIB) as u64 }
    }
}

/// Where somebody in a queue is.
#[derive(Clone, Copy, PartialEq)]
pub enum Turn {
    Waits,
    AtWork,
    /// After so many rounds.
    Rests(usize),
    Over,
}

/// Who may begin or go on now, by place. Each comes with the bytes that it takes, from when it begins until it is over.
///
/// First those begin that wait, as long as there is memory; then those go on that rest, the one with the fewest rounds first. Nobody
/// is overtaken, and one is always at work.
pub fn next(limits: Limits, queue: &[(Turn, u64)]) -> Vec<usize> {
    let mut workers = queue.iter().filter(|(turn, _)| *turn == Turn::AtWork).count();
    let holding = queue.iter().filter(|(turn, _)| matches!(turn, Turn::AtWork | Turn::Rests(_)));
    let mut bytes: u64 = holding.map(|(_, bytes)| bytes).sum();
    let mut now = Vec::new();
    for (place, (_, more)) in queue.iter().enumerate().filter(|(_, (turn, _))| *turn == Turn::Waits) {
        let is_first = bytes == 0 && workers == 0;
        if !is_first && (workers >= limits.workers || bytes + more > limits.bytes) {
            break;
        }
        (workers, bytes) = (workers + 1, bytes + more);
        now.push(place);
    }
    let rests = |(place, (turn, _)): (usize, &(Turn, u64))| match turn {
        Turn::Rests(rounds) => Some((*rounds, place)),
        _ => None,
    };
    let mut resting: Vec<(usize, usize)> = queue.iter().enumerate().filter_map(rests).collect();
    resting.sort_unstable();
    // Without a processor's number one is at work all the same.
    let free = limits.workers.max(1).saturating_sub(workers);
    now.extend(resting.into_iter().take(free).map(|(_, place)| place));
    now
}

/// An order for a worker of its own.
pub struct Job {
    pub order: Order,
    /// What travels beside it.
    pub beside: JsValue,
    /// What carrying it out takes, about.
    pub bytes: u64,
}

enum Seat {
    Waits(Job),
    /// With the bytes that it takes, and the rounds that are over.
    AtWork(Examiner, u64, usize),
    Rests(Examiner, u64, usize),
    Over,
}

/// A worker a job. Dropped, all of them end.
pub struct Crew {
    limits: Limits,
    hear: Callback<(u32, Said)>,
    seats: Vec<Seat>,
}

impl Crew {
    /// Begins. `hear` gets what workers say, with their numbers.
    pub fn call(jobs: Vec<Job>, hear: Callback<(u32, Said)>) -> Self {
        let seats = jobs.into_iter().map(Seat::Waits).collect();
        let mut crew = Self { limits: Limits::of_browser(), hear, seats };
        crew.go_on();
        crew
    }

    /// Which job the worker of this number is at.
    pub fn place(&self, number: u32) -> Option<usize> {
        self.seats.iter().position(|seat| matches!(seat, Seat::AtWork(worker, ..) if worker.number() == number))
    }

    /// Ends a job's worker, whose memory others may have then.
    pub fn end(&mut self, place: usize) {
        self.seats[place] = Seat::Over;
        self.go_on();
    }

    /// A job's worker has done a round: others may be before it with the next.
    pub fn rest(&mut self, place: usize) {
        self.seats[place] = match std::mem::replace(&mut self.seats[place], Seat::Over) {
            Seat::AtWork(worker, bytes, rounds) => Seat::Rests(worker, bytes, rounds + 1),
            other => other,
        };
        self.go_on();
    }

    /// Jobs that wait for a worker.
    pub fn waiting(&self) -> usize {
        self.seats.iter().filter(|seat| matches!(seat, Seat::Waits(_))).count()
    }

    pub fn is_over(&self) -> bool {
        self.seats.iter().all(|seat| matches!(seat, Seat::Over))
    }

    fn go_on(&mut self) {
        let queue: Vec<(Turn, u64)> = self.seats.iter().map(Seat::turn).collect();
        for place in next(self.limits, &queue) {
            self.seats[place] = match std::mem::replace(&mut self.seats[place], Seat::Over) {
                Seat::Waits(job) => {
                    Seat::AtWork(Examiner::call(job.order, job.beside, self.hear.clone()), job.bytes, 0)
                }
                Seat::Rests(worker, bytes, rounds) => {
                    worker.order(&Order::GoOn, &Array::of2(&Array::new(), &Array::new()));
                    Seat::AtWork(worker, bytes, rounds)
                }
                other => other,
            };
        }
    }
}

impl Seat {
    fn turn(&self) -> (Turn, u64) {
        match self {
            Self::Waits(job) => (Turn::Waits, job.bytes),
            Self::AtWork(_, bytes, _) => (Turn::AtWork, *bytes),
            Self::Rests(_, bytes, rounds) => (Turn::Rests(*rounds), *bytes),
            Self::Over => (Turn::Over, 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Turn::{AtWork, Over, Rests, Waits};
    use super::*;

    fn begin(workers: usize, bytes: u64, queue: &[(Turn, u64)]) -> Vec<usize> {
        next(Limits { workers, bytes }, queue)
    }

    #[test]
    fn as_many_are_at_work_as_there_are_processors() {
        assert_eq!(begin(2, 9, &[(Waits, 1), (Waits, 1), (Waits, 1)]), [0, 1]);
        assert_eq!(begin(2, 9, &[(Over, 0), (AtWork, 1), (Waits, 1), (Waits, 1)]), [2]);
        assert!(begin(2, 9, &[(AtWork, 1), (AtWork, 1), (Waits, 1)]).is_empty());
        assert!(begin(2, 9, &[(Over, 0), (AtWork, 1)]).is_empty());
    }

    #[test]
    fn no_more_than_there_is_memory_for_and_one_always() {
        assert_eq!(begin(8, 5, &[(Waits, 2), (Waits, 3), (Waits, 1)]), [0, 1]);
        assert_eq!(begin(8, 5, &[(AtWork, 2), (Waits, 4), (Waits, 1)]), [] as [usize; 0], "nobody is overtaken");
        assert_eq!(begin(8, 5, &[(Waits, 9), (Waits, 0)]), [0]);
        assert_eq!(begin(8, 5, &[(Over, 9), (Waits, 9)]), [1]);
        assert_eq!(begin(0, 0, &[(Waits, 1), (Waits, 0)]), [0], "a browser that tells nothing");
    }

    #[test]
    fn all_give_a_sample_before_one_goes_on() {
        assert_eq!(begin(2, 9, &[(Rests(1), 1), (AtWork, 1), (Waits, 1), (Waits, 1)]), [2]);
        assert_eq!(begin(2, 9, &[(Rests(1), 1), (Rests(1), 1), (AtWork, 1)]), [0]);
        assert_eq!(begin(2, 9, &[(Rests(2), 1), (Rests(1), 1), (Rests(1), 1)]), [1, 2]);
        assert_eq!(begin(0, 9, &[(Rests(2), 1), (Rests(1), 1)]), [1]);
    }

    #[test]
    fn those_that_rest_go_on_where_there_is_no_memory_for_those_that_wait() {
        assert_eq!(begin(2, 5, &[(Rests(1), 3), (Rests(2), 1), (Waits, 3), (Waits, 1)]), [0, 1]);
        assert_eq!(begin(2, 5, &[(Rests(1), 3), (AtWork, 1), (Waits, 1)]), [2]);
        assert_eq!(begin(2, 1, &[(Rests(1), 9), (Over, 9), (Waits, 9)]), [0]);
    }
}
