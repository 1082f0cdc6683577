//! How fast this device merges, as the page knows it.

use crate::protocol::Gauged;

/// Where the measurement is, and what is known.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs)]
pub struct Gauging {
    pub phase: Phase,
    pub told: Gauged,
}

/// Where the measurement is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// None was asked for.
    #[default]
    Idle,
    /// It runs.
    Running,
    /// It is over.
    Over,
    /// The person stopped it.
    Cancelled,
}

impl Gauging {
    /// One that was just asked for.
    pub fn begun() -> Self {
        Self { phase: Phase::Running, ..Self::default() }
    }

    /// The person stops it.
    pub fn cancel(&mut self) {
        if self.phase == Phase::Running {
            self.phase = Phase::Cancelled;
        }
    }

    /// Takes in what the workers say; what comes after the end is late news.
    pub fn hear(&mut self, gauged: Gauged) {
        if self.phase != Phase::Running {
            return;
        }
        let before = std::mem::replace(&mut self.told, gauged);
        // A desk that died has no figures to tell: those that were known stay.
        if self.told.table.is_empty() {
            self.told.table = before.table;
        }
        if self.told.over {
            self.phase = Phase::Over;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(done: usize, over: bool) -> Gauged {
        Gauged { table: vec![vec![done.to_string()]], done, all: 10, over, why: None }
    }

    #[test]
    fn figures_come_one_by_one_until_it_is_over() {
        let mut gauging = Gauging::begun();
        for (done, over, phase) in [(2, false, Phase::Running), (10, true, Phase::Over)] {
            gauging.hear(told(done, over));
            assert_eq!(gauging, Gauging { phase, told: told(done, over) });
        }
        gauging.hear(told(1, false));
        assert_eq!(gauging.told.done, 10, "late news");
    }

    #[test]
    fn what_was_measured_stays_when_it_is_cancelled_or_the_desk_dies() {
        let mut gauging = Gauging::begun();
        gauging.hear(told(3, false));
        let mut died = gauging.clone();
        gauging.cancel();
        assert_eq!(gauging, Gauging { phase: Phase::Cancelled, told: told(3, false) });
        died.hear(Gauged { over: true, why: Some("why".into()), ..Gauged::default() });
        assert_eq!((died.phase, died.told.table), (Phase::Over, told(3, false).table));
    }
}
