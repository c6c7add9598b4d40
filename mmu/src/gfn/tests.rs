use super::*;

#[test]
fn runs_are_joined_where_one_goes_on_where_the_last_one_ended() {
    let mut runs = Vec::new();
    for next in [Run::new(2, 5), Run::new(5, 6), Run::new(7, 9), Run::new(9, 9), Run::new(9, 10)] {
        join(&mut runs, next);
    }
    assert_eq!(runs, [Run::new(2, 6), Run::new(7, 10)]);
}

#[test]
fn frames_in_order_are_runs_of_neighbours() {
    let runs = neighbours([0, 1, 2, 5, 7, 8].map(Gfn));
    assert_eq!(runs, [Run::new(0, 3), Run::new(5, 6), Run::new(7, 9)]);
    assert_eq!(neighbours([]), []);
}

#[test]
fn what_is_taken_off_the_beginning_is_gone_from_it() {
    let mut run = Run::new(4, 9);
    assert_eq!((run.take_first(3), run), (Run::new(4, 7), Run::new(7, 9)));
    assert_eq!((run.take_first(0), run), (Run::new(7, 7), Run::new(7, 9)));
    assert_eq!((run.take_first(5), run.pages), (Run::new(7, 9), 0));
}
