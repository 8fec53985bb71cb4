//! Summaries of many rounds: a median and a spread.

use serde::{Deserialize, Serialize};

/// How many samples are drawn for the spread of a ratio.
const DRAWS: usize = 2_000;

/// A number with its spread.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// The median, or the only value.
    pub median: f64,
    /// The lower quartile of a measurement. For a ratio, the lower end of the interval that
    /// contains 95 of 100 such runs.
    pub low: f64,
    /// The upper quartile, or the upper end.
    pub high: f64,
}

impl Figure {
    /// A number that does not vary.
    pub fn exact(value: f64) -> Self {
        Figure {
            median: value,
            low: value,
            high: value,
        }
    }

    /// The median and the quartiles of some rounds.
    pub fn of(rounds: &[f64]) -> Self {
        let mut sorted = rounds.to_vec();
        sorted.sort_by(f64::total_cmp);
        Figure {
            median: at(&sorted, 0.5),
            low: at(&sorted, 0.25),
            high: at(&sorted, 0.75),
        }
    }

    /// The same figure in another unit.
    pub fn times(self, factor: f64) -> Self {
        Figure {
            median: self.median * factor,
            low: self.low * factor,
            high: self.high * factor,
        }
    }
}

/// The value at a fraction of a sorted list, interpolated between two values.
fn at(sorted: &[f64], part: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else {
        return f64::NAN;
    };
    let place = part * last as f64;
    let (below, above) = (sorted[place as usize], sorted[place.ceil() as usize]);
    below + (above - below) * place.fract()
}

/// The ratio of two medians. The rounds were measured in turns.
///
/// Its spread comes from bootstrapping: as many rounds are drawn at random, both sides of each, and
/// a round may be drawn several times or not at all. The random numbers are the same in each run.
pub fn ratio(ours: &[f64], theirs: &[f64]) -> Figure {
    let rounds = ours.len().min(theirs.len());
    let of = |picked: &[usize]| {
        let median = |side: &[f64]| {
            let mut values: Vec<f64> = picked.iter().map(|round| side[*round]).collect();
            values.sort_by(f64::total_cmp);
            at(&values, 0.5)
        };
        median(ours) / median(theirs)
    };
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut draws: Vec<f64> = (0..DRAWS)
        .map(|_| {
            let pick = |_| {
                // Xorshift. Any generator is good enough here.
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                (random % rounds as u64) as usize
            };
            of(&(0..rounds).map(pick).collect::<Vec<_>>())
        })
        .collect();
    draws.sort_by(f64::total_cmp);
    Figure {
        median: of(&(0..rounds).collect::<Vec<_>>()),
        low: at(&draws, 0.025),
        high: at(&draws, 0.975),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_and_quartiles_lie_between_two_rounds_if_need_be() {
        let figure = Figure::of(&[4.0, 1.0, 3.0, 2.0]);
        assert_eq!((figure.low, figure.median, figure.high), (1.75, 2.5, 3.25));
    }

    #[test]
    fn a_ratio_that_never_varies_has_no_spread() {
        let figure = ratio(&[1.0; 9], &[4.0; 9]);
        assert_eq!(figure, Figure::exact(0.25));
    }

    #[test]
    fn a_ratio_of_noise_has_one_on_both_sides() {
        let ours = [1.0, 2.0, 1.1, 1.9, 1.2, 1.8, 1.3, 1.7, 1.4];
        let theirs = [1.9, 1.1, 2.0, 1.0, 1.7, 1.3, 1.8, 1.2, 1.5];
        let figure = ratio(&ours, &theirs);
        assert!(figure.low < 1.0 && figure.high > 1.0, "{figure:?}");
    }
}
