//! Medians, ranges and paired ratios.

use serde::{Deserialize, Serialize};

/// Median and range of a set of figures.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The middle figure; the mean of the middle two if their number is even.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    /// Median and range of `figures`.
    ///
    /// # Panics
    /// If `figures` is empty or holds a NaN.
    #[must_use]
    pub fn of(figures: &[f64]) -> Self {
        assert!(figures.iter().all(|figure| !figure.is_nan()), "a figure is not a number");
        let mut sorted = figures.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (Some(&min), Some(&max)) = (sorted.first(), sorted.last()) else { panic!("no figures") };
        let half = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 { sorted[half] } else { f64::midpoint(sorted[half - 1], sorted[half]) };
        Self { median, min, max }
    }
}

/// Spread of `ours[i] / rival[i]`: both figures of a pair come from one round, so that a slow spell of the machine
/// falls on both.
///
/// # Panics
/// If the rounds differ in number, there is none, or a rival's figure is not above zero.
#[must_use]
pub fn paired_ratios(ours: &[f64], rival: &[f64]) -> Spread {
    assert_eq!(ours.len(), rival.len(), "rounds must pair up");
    assert!(rival.iter().all(|figure| *figure > 0.0), "a rival cannot cost nothing");
    let ratios: Vec<f64> = ours.iter().zip(rival).map(|(ours, rival)| ours / rival).collect();
    Spread::of(&ratios)
}

/// The order in which `contenders` run in `round`: each round starts one further, so that none always runs after the
/// same neighbour's garbage or in the same place of a warm-up curve.
pub fn rotation(contenders: usize, round: usize) -> impl Iterator<Item = usize> {
    (0..contenders).map(move |place| (place + round) % contenders)
}
