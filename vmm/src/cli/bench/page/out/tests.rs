use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::Place;

fn names(folder: &Path) -> Vec<String> {
    let entries = folder.read_dir().unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_file_replaces_another_when_it_is_whole() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("page.html");
    fs::write(&path, "before").unwrap();
    let place = Place::at(&path).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "before");
    assert_eq!(names(folder.path()), ["page.html"]);
    place.put("after").unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "after");
    assert_eq!(names(folder.path()), ["page.html"]);
}

#[test]
fn places_at_which_no_file_can_be() {
    let folder = TempDir::new().unwrap();
    for (path, word) in [
        (folder.path(), "not a regular file"),
        (Path::new("/dev/null"), "not a regular file"),
        (Path::new("/no/such/folder/page.html"), "No such file"),
        (Path::new("/"), "name a file"),
        (Path::new(""), "name a file"),
    ] {
        let error = Place::at(path).err().unwrap().to_string();
        assert!(error.contains(word), "{error}");
    }
    assert!(names(folder.path()).is_empty());
}

#[test]
fn a_file_that_cannot_be_put_leaves_nothing() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("page.html");
    let place = Place::at(&path).unwrap();
    // Since then somebody has made a folder there.
    fs::create_dir(&path).unwrap();
    let error = place.put("page").unwrap_err().to_string();
    assert!(error.contains("page.html"), "{error}");
    assert_eq!(names(folder.path()), ["page.html"]);
}
