//! Slots, stores and bases go with their last users.

use std::sync::Arc;

use super::*;

#[test]
fn slots_are_freed_with_the_last_map_that_names_them() {
    let home = Home::new();
    let parent = home.above(options());
    write(&parent, 0, &[1; 16]);
    assert_eq!(parent.usage().live_slots, 2);
    let image = parent.snapshot().unwrap();
    let child = image.spawn().unwrap();
    write(&parent, 0, &[2; 16]);
    assert_eq!(parent.usage().live_slots, 4, "two of them for image and child");
    drop(image);
    assert_eq!(parent.usage().live_slots, 4);
    write(&child, 0, &[3; 8]);
    assert_eq!(parent.usage().live_slots, 3);
    drop(child);
    let usage = parent.usage();
    assert_eq!((usage.live_slots, usage.reusable_slots), (2, 2));
}

#[test]
fn a_plan_keeps_what_it_names() {
    let home = Home::new();
    let disk = home.above(options());
    write(&disk, 0, &[1; 8]);
    let plan = disk.read_plan(0, 8).unwrap();
    write(&disk, 0, &[2; 8]);
    write(&disk, 8, &[3; 8]);
    assert_eq!(disk.usage().live_slots, 3);
    let Place::File { file, offset } = &plan.extents()[0].place else { panic!("in a file") };
    let mut bytes = [0; 512];
    file.read_exact_at(&mut bytes, *offset).unwrap();
    assert_eq!(token_of(&bytes), 1);
    drop(plan);
    assert_eq!(disk.usage().live_slots, 2);
}

#[test]
fn rewriting_does_not_grow_a_store() {
    let home = Home::new();
    let disk = home.above(options());
    for round in 0..100 {
        write(&disk, round % 8, &[round; 20]);
        let usage = disk.usage();
        assert!(usage.live_slots + usage.reusable_slots <= 12, "{usage:?}");
    }
}

#[test]
fn children_outlive_their_parents_and_stores_go_with_the_last_slot() {
    let home = Home::new();
    let root = home.above(options());
    write(&root, 0, &[1; 8]);
    let child = root.fork().unwrap();
    write(&child, 8, &[2; 8]);
    let grandchild = child.fork().unwrap();
    let store = Arc::downgrade(&root.shared.state.lock().store.clone().unwrap());
    drop(root);
    drop(child);
    assert_eq!(grandchild.usage().ancestor_stores, 2);
    assert_eq!(read(&grandchild, 0, 16), [[Some(1); 8], [Some(2); 8]].concat());
    write(&grandchild, 0, &[3; 8]);
    assert_eq!(grandchild.usage().ancestor_stores, 1);
    assert!(store.upgrade().is_none(), "its file is gone");
}

#[test]
fn freed_slots_of_a_dead_disk_become_holes() {
    let home = Home::new();
    let root = home.above(options());
    write(&root, 0, &[1; 40]);
    let child = root.fork().unwrap();
    let file = Arc::clone(root.shared.state.lock().store.as_ref().unwrap().file().plain());
    drop(root);
    let blocks = || std::os::unix::fs::MetadataExt::blocks(&file.metadata().unwrap());
    let before = blocks();
    write(&child, 0, &[2; 16]);
    assert!(blocks() < before, "{} blocks, {before} before", blocks());
    assert_eq!(read(&child, 16, 24), [Some(1); 24]);
}

#[test]
fn nothing_is_left_in_the_folder() {
    let home = Home::new();
    let before = home.base_bytes();
    {
        let disk = home.above(options());
        let child = disk.fork().unwrap();
        write(&child, 0, &[1; 44]);
        assert_eq!(disk.usage().base_users, 2);
        assert_eq!(std::fs::read_dir(home.dir.path()).unwrap().count(), 1, "no name to be left");
    }
    assert_eq!(home.base_bytes(), before);
    home.raw(options());
}

/// How many files a flush wants synced.
fn files(flush: &Flush) -> usize {
    match flush.step() {
        FlushStep::Sync(files) => files.len(),
        step => panic!("no file has been written through a log: {step:?}"),
    }
}

#[test]
fn a_flush_covers_what_ancestors_wrote_before_the_cut() {
    let home = Home::new();
    let root = home.raw(options());
    root.flush().unwrap();
    assert_eq!(files(&root.begin_flush().unwrap()), 0);
    write(&root, 0, &[1]);
    let child = root.fork().unwrap();
    write(&child, 1, &[1]);
    let grandchild = child.fork().unwrap();
    write(&grandchild, 2, &[1]);
    let flush = grandchild.begin_flush().unwrap();
    assert_eq!(files(&flush), 3, "the base, the child's store and its own");
    write(&grandchild, 3, &[1]);
    flush.finish().unwrap();
    assert_eq!(files(&grandchild.begin_flush().unwrap()), 1, "written since");
    assert_eq!(files(&root.begin_flush().unwrap()), 0, "done for all");
    drop(grandchild.begin_flush().unwrap());
    assert_eq!(files(&grandchild.begin_flush().unwrap()), 1, "dropped, it promised nothing");
}

#[test]
fn a_sync_that_failed_is_never_forgotten() {
    let home = Home::new();
    let root = home.above(options());
    write(&root, 0, &[1]);
    let child = root.fork().unwrap();
    child.begin_flush().unwrap().fail();
    for disk in [&root, &child] {
        assert!(matches!(disk.begin_flush(), Err(DiskError::SyncFailed { .. })));
    }
}
