//! The swap file, on the real file system.

use vm_memory::Bytes;

use super::*;
use crate::gfn::Run;

fn page_of(store: &Store, gfn: u32) -> [u8; PAGE_SIZE] {
    let mut page = [0; PAGE_SIZE];
    store.read(Gfn(gfn), &mut page).expect("pread");
    page
}

fn store_with(pages: u32) -> Store {
    let store = Store::new(pages).expect("store");
    for gfn in 0..pages {
        let run = Run::one(Gfn(gfn));
        store.slice(run).write_slice(&[gfn as u8 + 1; PAGE_SIZE], 0).expect("in range");
    }
    store
}

fn swap() -> Swap {
    Swap::new(std::env::temp_dir())
}

#[test]
fn nothing_is_opened_before_the_first_eviction() {
    let swap = swap();
    assert!(swap.open.lock().is_none());
    assert_eq!(swap.used_places(), 0);
}

#[test]
fn frames_come_back_as_they_went() {
    let (swap, store) = (swap(), store_with(8));
    let places: Vec<_> = (0..8).map(|gfn| swap.write_out(&store, Gfn(gfn)).expect("out")).collect();
    store.punch(Run::new(0, 8));
    assert_eq!(store.resident_bytes().expect("fstat"), 0);
    for (gfn, &place) in places.iter().enumerate().rev() {
        swap.read_in(place, &store, Gfn(gfn as u32)).expect("in");
        swap.forget(place);
    }
    for gfn in 0..8 {
        assert_eq!(page_of(&store, gfn), [gfn as u8 + 1; PAGE_SIZE]);
    }
    assert_eq!(swap.used_places(), 0);
}

#[test]
fn places_given_back_are_used_again_and_their_space_is_free() {
    let (swap, store) = (swap(), store_with(3));
    let places: Vec<_> = (0..3).map(|gfn| swap.write_out(&store, Gfn(gfn)).expect("out")).collect();
    swap.forget(places[1]);
    assert_eq!(swap.used_places(), 2);
    assert_eq!(swap.write_out(&store, Gfn(2)).expect("out"), places[1]);
    assert_eq!(swap.places.lock().end, 3);
    places.iter().for_each(|&place| swap.forget(place));
    let blocks = {
        use std::os::unix::fs::MetadataExt;
        let open = swap.open.lock();
        open.as_ref().expect("open").file.metadata().expect("fstat").blocks()
    };
    assert_eq!(blocks, 0, "the file system of the temporary directory can punch holes");
}

#[test]
fn a_hole_is_evicted_as_zeros_without_becoming_resident() {
    let (swap, store) = (swap(), Store::new(2).expect("store"));
    let place = swap.write_out(&store, Gfn(1)).expect("out");
    assert_eq!(store.resident_bytes().expect("fstat"), 0);
    swap.read_in(place, &store, Gfn(1)).expect("in");
    assert_eq!(page_of(&store, 1), [0; PAGE_SIZE]);
}

#[test]
fn a_directory_that_is_not_there_is_named() {
    let (swap, store) = (Swap::new("/nowhere/at/all".into()), store_with(1));
    let error = swap.write_out(&store, Gfn(0)).expect_err("no such directory").to_string();
    assert!(error.contains("/nowhere/at/all") && error.contains("gfn 0x0"), "{error}");
    assert_eq!(swap.used_places(), 0);
}

#[test]
fn a_failed_read_leaves_nothing_for_the_next() {
    let (swap, store) = (swap(), store_with(2));
    let place = swap.write_out(&store, Gfn(1)).expect("out");
    swap.read_in(SwapPlace(77), &store, Gfn(0)).expect_err("beyond the end of the file");
    assert_eq!(page_of(&store, 0), [1; PAGE_SIZE]);
    swap.read_in(place, &store, Gfn(0)).expect("in");
    assert_eq!(page_of(&store, 0), [2; PAGE_SIZE]);
}

#[test]
fn file_systems_without_unnamed_files_work_too() {
    let directory = std::env::temp_dir();
    let mut options = File::options();
    let file = named_then_removed(options.read(true).write(true), &directory).expect("file");
    file.write_all_at(&[1], 0).expect("pwrite");
    let mine = format!("pincow-swap-{}-", std::process::id());
    let left = fs::read_dir(directory).expect("directory").flatten();
    assert_eq!(left.filter(|e| e.file_name().to_string_lossy().starts_with(&mine)).count(), 0);
}
