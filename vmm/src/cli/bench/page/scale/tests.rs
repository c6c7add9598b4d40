use proptest::prelude::*;

use super::Scale;

#[test]
fn values_that_span_a_decade_are_logarithmic() {
    let scale = Scale::over([550.0, 7000.0], 0.0, 100.0);
    assert!(scale.is_log);
    assert_eq!(scale.ticks(), [500.0, 1000.0, 2000.0, 5000.0, 10_000.0]);
    // As far from 500 to 1000 as from 1000 to 2000.
    let places = [500.0, 1000.0, 2000.0].map(|value| scale.at(value));
    assert!((places[2] - places[1] - (places[1] - places[0])).abs() < 1e-9);
}

#[test]
fn values_that_do_not_begin_at_zero() {
    let scale = Scale::over([20.0, 27.0], 100.0, 0.0);
    assert!(!scale.is_log);
    assert_eq!(scale.ticks(), [0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0]);
    assert_eq!((scale.at(0.0), scale.at(15.0), scale.at(30.0)), (100.0, 50.0, 0.0));
}

#[test]
fn a_zero_among_values_has_a_place() {
    let scale = Scale::over([0.0, 5000.0], 0.0, 1.0);
    assert!(!scale.is_log);
    assert_eq!(scale.at(0.0), 0.0);
}

#[test]
fn many_decades_have_few_labels() {
    assert_eq!(Scale::over([1.0, 30_000.0], 0.0, 1.0).ticks().len(), 6);
    let ticks = Scale::over([1e-9, 1e15], 0.0, 1.0).ticks().to_vec();
    assert!((4..=10).contains(&ticks.len()), "{ticks:?}");
}

#[test]
fn nothing_at_all_has_an_axis() {
    assert_eq!(Scale::over([], 0.0, 1.0).ticks(), Scale::over([0.0], 0.0, 1.0).ticks());
}

proptest! {
    #[test]
    fn every_value_is_between_the_ends_and_in_order(
        values in prop::collection::vec(prop_oneof![Just(0.0), 1e-9..1e15_f64, 1.0..100.0_f64], 1..20)
    ) {
        let scale = Scale::over(values.iter().copied(), 10.0, 500.0);
        let ticks = scale.ticks();
        prop_assert!((2..=11).contains(&ticks.len()), "{ticks:?}");
        prop_assert!(ticks.windows(2).all(|pair| pair[0] < pair[1]), "{ticks:?}");
        let most = values.iter().copied().fold(0.0, f64::max);
        prop_assert!(ticks[ticks.len() - 1] >= most * (1.0 - 1e-9));
        let mut sorted = values;
        sorted.sort_by(f64::total_cmp);
        let places: Vec<f64> = sorted.iter().map(|&value| scale.at(value)).collect();
        prop_assert!(places.iter().all(|place| (10.0..=500.0).contains(place)), "{places:?}");
        prop_assert!(places.windows(2).all(|pair| pair[0] <= pair[1]), "{places:?}");
    }
}
