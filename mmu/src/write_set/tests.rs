use super::*;

fn likely(set: &mut WriteSet) -> Vec<Run> {
    match set.next_part() {
        Part::Pupil(likely) => likely.to_vec(),
        Part::Teacher => panic!("a teacher, after {} clones", set.clones),
    }
}

fn taught<const N: usize>(lessons: [&[Run]; N]) -> WriteSet {
    let mut set = WriteSet::default();
    lessons.iter().for_each(|lesson| set.learn(lesson.iter().copied()));
    set
}

#[test]
fn nothing_is_foretold_before_there_are_lessons_enough() {
    let mut set = WriteSet::default();
    for _ in 0..LESSONS {
        assert_eq!(set.next_part(), Part::Teacher);
        assert_eq!(set.next_part(), Part::Teacher, "until it has given its lesson");
        set.learn([Run::new(3, 5)]);
    }
    assert_eq!(likely(&mut set), [Run::new(3, 5)]);
}

#[test]
fn what_most_have_written_is_foretold() {
    let mut set = taught([
        &[Run::new(0, 4), Run::new(10, 20)],
        &[Run::new(2, 6), Run::new(12, 14), Run::new(90, 91)],
        &[Run::new(5, 8), Run::new(13, 30)],
    ]);
    assert_eq!(likely(&mut set), [Run::new(2, 4), Run::new(5, 6), Run::new(12, 20)]);
}

#[test]
fn neighbours_of_different_lessons_are_one_run() {
    let mut set = taught([&[Run::new(0, 8)], &[Run::new(0, 4)], &[Run::new(4, 8)]]);
    assert_eq!(likely(&mut set), [Run::new(0, 8)]);
}

#[test]
fn a_set_that_has_become_wrong_is_forgotten_after_two_lessons() {
    let (old, new) = ([Run::new(0, 8)], [Run::new(100, 108)]);
    let mut set = taught([&old, &old, &old]);
    set.learn(new);
    assert_eq!(likely(&mut set), old);
    set.learn(new);
    assert_eq!(likely(&mut set), new);
    let mut idle = taught([&old, &[], &[]]);
    assert_eq!(likely(&mut idle), [], "most wrote nothing");
}

#[test]
fn one_of_so_many_clones_teaches_for_ever() {
    let mut set = taught([&[], &[], &[]]);
    let teaches = (0..10 * EVERY).filter(|_| set.next_part() == Part::Teacher).count();
    assert_eq!(teaches, 10);
}

#[test]
fn what_is_remembered_is_bounded_whatever_is_written() {
    let all = [Run::new(0, u32::MAX)];
    let mut set = taught([&all, &all, &all]);
    assert_eq!(likely(&mut set), [Run::new(0, MOST_PAGES)]);
    let scattered: Vec<Run> = (0..100_000).map(|page| Run::one(Gfn(2 * page))).collect();
    for _ in 0..5 {
        set.learn(scattered.iter().copied());
    }
    assert_eq!(likely(&mut set), scattered[..MOST_PAGES as usize]);
    assert_eq!(set.lessons.len(), LESSONS);
    assert!(set.lessons.iter().all(|lesson| lesson.len() == MOST_PAGES as usize));
    // Most of three lessons may have more pages than each.
    let shifted = |first: u32| [Run::new(first, first + MOST_PAGES)];
    let half = MOST_PAGES / 2;
    let mut set =
        taught([&shifted(0), &shifted(half), &[Run::new(0, half), Run::new(2 * half, 3 * half)]]);
    assert_eq!(likely(&mut set), [Run::new(0, MOST_PAGES)]);
}
