//! How fast this device merges, as the page knows it.

use merge_studio::gauge::{Row, TASKS};

use crate::protocol::Gauged;

/// Where the measurement is.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Gauging {
    /// None was asked for.
    #[default]
    Idle,
    /// It runs.
    Running(Vec<Row>),
    /// It is over; why, if it ended early.
    Over(Vec<Row>, Option<String>),
    /// The person stopped it.
    Cancelled(Vec<Row>),
}

impl Gauging {
    /// One that was just asked for.
    pub fn begun() -> Self {
        Self::Running(Vec::new())
    }

    /// The person stops it.
    pub fn cancel(&mut self) {
        if let Self::Running(rows) = self {
            *self = Self::Cancelled(std::mem::take(rows));
        }
    }

    /// Takes in what the workers say; what comes after the end is late news.
    pub fn hear(&mut self, gauged: Gauged) {
        let Self::Running(rows) = self else { return };
        // A desk that died has no figures to tell: those that were known stay.
        if !gauged.rows.is_empty() {
            *rows = gauged.rows;
        }
        if gauged.over {
            *self = Self::Over(std::mem::take(rows), gauged.why);
        }
    }

    /// What was measured.
    pub fn rows(&self) -> &[Row] {
        match self {
            Self::Idle => &[],
            Self::Running(rows) | Self::Over(rows, _) | Self::Cancelled(rows) => rows,
        }
    }

    /// Figures that are known, and how many there will be.
    pub fn progress(&self) -> (usize, usize) {
        let rows = self.rows();
        (rows.iter().map(|row| row.figures.len()).sum(), TASKS.len() * rows.len())
    }
}

#[cfg(test)]
mod tests {
    use merge_studio::gauge::Figure;

    use super::*;

    fn told(figures: usize, over: bool) -> Gauged {
        let cpu = Row { figures: vec![Figure::default(); figures], ..Row::cpu(2) };
        Gauged { rows: vec![cpu, Row::gpu("one")], over, why: None }
    }

    #[test]
    fn figures_come_one_by_one_until_it_is_over() {
        let mut gauging = Gauging::begun();
        assert_eq!(gauging.progress(), (0, 0));
        gauging.hear(told(2, false));
        assert_eq!(gauging.progress(), (2, 10));
        gauging.hear(told(5, true));
        assert_eq!(gauging, Gauging::Over(told(5, false).rows, None));
        gauging.hear(told(1, false));
        assert_eq!(gauging.rows()[0].figures.len(), 5, "late news");
    }

    #[test]
    fn what_was_measured_stays_when_it_is_cancelled_or_the_desk_dies() {
        let mut gauging = Gauging::begun();
        gauging.hear(told(3, false));
        let mut died = gauging.clone();
        gauging.cancel();
        assert_eq!(gauging, Gauging::Cancelled(told(3, false).rows));
        died.hear(Gauged { rows: Vec::new(), over: true, why: Some("why".into()) });
        assert_eq!(died, Gauging::Over(told(3, false).rows, Some("why".into())));
    }
}
