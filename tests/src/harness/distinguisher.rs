//! How well somebody who watches answers can tell two kinds of them apart.
//!
//! Each distinguisher learns from one half of the observations and is judged by the other half. Its advantage is the share
//! of right answers, of both kinds equally, beyond the half that guessing gets right: 0.5 is certainty, 0 is nothing, and
//! chance alone gives it a standard deviation of `0.5 / sqrt(n)` for `n` judged observations.

use std::collections::HashMap;

/// Looks for the threshold that separates best. Sees a shift.
pub fn by_threshold(one: &[f64], other: &[f64]) -> f64 {
    let ((one, one_judged), (other, other_judged)) = (halves(one), halves(other));
    let share_below = |values: &[f64], at: f64| {
        values.iter().filter(|value| **value < at).count() as f64 / values.len().max(1) as f64
    };
    let difference = |at: f64| share_below(&one, at) - share_below(&other, at);
    let candidates = one.iter().chain(&other).copied();
    let threshold = candidates.max_by(|a, b| difference(*a).abs().total_cmp(&difference(*b).abs()));
    let Some(threshold) = threshold else { return 0.0 };
    let judged = share_below(&one_judged, threshold) - share_below(&other_judged, threshold);
    judged * difference(threshold).signum() / 2.0
}

/// Divides each of the `D` features into as many ranges with about as many observations each, and takes of each cell the
/// kind that it has seen more of. Sees any difference that is not finer than the ranges.
pub fn by_bins<const D: usize>(one: &[[f64; D]], other: &[[f64; D]], ranges: usize) -> f64 {
    let ((one, one_judged), (other, other_judged)) = (halves(one), halves(other));
    let borders: [Vec<f64>; D] = std::array::from_fn(|feature| {
        let mut values: Vec<f64> = one.iter().chain(&other).map(|observation| observation[feature]).collect();
        values.sort_unstable_by(f64::total_cmp);
        (1..ranges).filter_map(|range| values.get(range * values.len() / ranges).copied()).collect()
    });
    let cell = |observation: &[f64; D]| -> [usize; D] {
        std::array::from_fn(|feature| borders[feature].partition_point(|border| *border <= observation[feature]))
    };
    let mut seen: HashMap<[usize; D], f64> = HashMap::new();
    for (observations, weight) in [(&one, 1.0 / one.len() as f64), (&other, -1.0 / other.len() as f64)] {
        for observation in observations {
            *seen.entry(cell(observation)).or_default() += weight;
        }
    }
    // 1 for the first kind, -1 for the second, 0 is undecided.
    let verdict = |observation: &[f64; D]| match seen.get(&cell(observation)) {
        Some(balance) if balance.abs() > 1e-9 => balance.signum(),
        Some(_) | None => 0.0,
    };
    let mean = |judged: &[[f64; D]]| judged.iter().map(verdict).sum::<f64>() / judged.len() as f64;
    (mean(&one_judged) - mean(&other_judged)) / 4.0
}

/// Every second observation, and the others.
fn halves<T: Copy>(all: &[T]) -> (Vec<T>, Vec<T>) {
    (all.iter().copied().step_by(2).collect(), all.iter().copied().skip(1).step_by(2).collect())
}

/// The middle of some values.
pub fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tocsin_domain::ports::Random;
    use tocsin_domain::testing::random::FakeRandom;

    fn values(random: &FakeRandom, from: u32, below: u32) -> Vec<f64> {
        (0..2_000).map(|_| f64::from(from + random.below(below))).collect()
    }

    fn in_cells(values: &[f64]) -> Vec<[f64; 1]> {
        values.iter().map(|value| [*value]).collect()
    }

    #[test]
    fn equal_distributions_are_not_told_apart() {
        let random = FakeRandom::seeded(1);
        let (one, other) = (values(&random, 0, 1_000), values(&random, 0, 1_000));
        assert!(by_threshold(&one, &other).abs() < 0.05);
        assert!(by_bins(&in_cells(&one), &in_cells(&other), 20).abs() < 0.05);
    }

    #[test]
    fn what_has_nothing_in_common_is_told_apart_with_certainty() {
        let random = FakeRandom::seeded(2);
        let (one, other) = (values(&random, 0, 1_000), values(&random, 1_000, 1_000));
        // A judged value may lie between the threshold and the nearest learned one.
        assert!(by_threshold(&one, &other) > 0.49 && by_threshold(&other, &one) > 0.49);
        assert!(by_bins(&in_cells(&one), &in_cells(&other), 20) > 0.49);
    }

    #[test]
    fn constant_among_many_values_is_seen_by_its_range() {
        let random = FakeRandom::seeded(3);
        // As the reference server's chaff, which always has the mean size.
        let (one, other) = (values(&random, 0, 1_000), vec![500.0; 2_000]);
        assert!(by_threshold(&one, &other) < 0.3);
        assert!(by_bins(&in_cells(&one), &in_cells(&other), 40) > 0.45);
    }

    #[test]
    fn two_features_together_see_what_neither_sees_alone() {
        let random = FakeRandom::seeded(4);
        // Both features are 0 or 1 equally often; only whether they are equal differs.
        let pair = |is_equal: bool| {
            let first = random.below(2);
            [f64::from(first), f64::from(if is_equal { first } else { 1 - first })]
        };
        let (one, other): (Vec<_>, Vec<_>) = (0..2_000).map(|_| (pair(false), pair(true))).unzip();
        assert_eq!(by_bins(&one, &other, 4), 0.5);
        let alone = |pairs: &[[f64; 2]]| pairs.iter().map(|[_, second]| [*second]).collect::<Vec<_>>();
        assert!(by_bins(&alone(&one), &alone(&other), 4).abs() < 0.05);
    }
}
