//! The figures that `ratios` prints: medians, paired ratios, and the order of the runs.

use flowgate_benches::stats::{Spread, paired_ratios, rotation};

#[test]
fn the_median_of_an_odd_number_is_the_middle_figure() {
    let spread = Spread::of(&[30.0, 10.0, 20.0]);
    assert_eq!(spread, Spread { median: 20.0, min: 10.0, max: 30.0 });
}

#[test]
fn the_median_of_an_even_number_is_the_mean_of_the_middle_two() {
    assert_eq!(Spread::of(&[4.0, 1.0, 3.0, 100.0]).median, 3.5);
}

#[test]
fn one_figure_is_its_own_spread() {
    assert_eq!(Spread::of(&[7.0]), Spread { median: 7.0, min: 7.0, max: 7.0 });
}

#[test]
#[should_panic(expected = "no figures")]
fn no_figures_have_no_spread() {
    let _spread = Spread::of(&[]);
}

#[test]
#[should_panic(expected = "not a number")]
fn a_nan_is_refused() {
    let _spread = Spread::of(&[1.0, f64::NAN]);
}

#[test]
fn ratios_pair_the_rounds_and_not_the_sorted_figures() {
    // The third round was slow for both: paired, it is a round like the others.
    let spread = paired_ratios(&[1.0, 2.0, 50.0], &[2.0, 4.0, 100.0]);
    assert_eq!(spread, Spread { median: 0.5, min: 0.5, max: 0.5 });
    // Unpaired medians would say 3.0 / 3.0.
    let spread = paired_ratios(&[1.0, 3.0, 9.0], &[3.0, 9.0, 1.0]);
    assert_eq!(spread.min, 1.0 / 3.0);
    assert_eq!(spread.median, 1.0 / 3.0);
    assert_eq!(spread.max, 9.0);
}

#[test]
#[should_panic(expected = "rounds must pair up")]
fn ratios_of_unequal_rounds_are_refused() {
    let _spread = paired_ratios(&[1.0], &[1.0, 2.0]);
}

#[test]
#[should_panic(expected = "cannot cost nothing")]
fn a_ratio_to_nothing_is_refused() {
    let _spread = paired_ratios(&[1.0], &[0.0]);
}

#[test]
fn every_round_runs_each_contender_once_and_each_leads_in_turn() {
    let rounds: Vec<Vec<usize>> = (0..4).map(|round| rotation(3, round).collect()).collect();
    assert_eq!(rounds, [vec![0, 1, 2], vec![1, 2, 0], vec![2, 0, 1], vec![0, 1, 2]]);
}
