use serde_json::json;

use super::{Misfit, Node};

fn said(misfit: Result<impl std::fmt::Debug, Misfit>) -> String {
    misfit.unwrap_err().to_string()
}

#[test]
fn errors_name_the_file_and_the_place() {
    let value = json!({
        "n": 2, "empty": [], "two": [1, 2.5], "three": [1, 2, 3], "word": [1, "x"],
        "minus": -1, "huge": 1e300, "half": 0.5, "null": null, "in": { "side": [{ "text": 7 }] },
    });
    let root = Node::root(&value, "f.json");
    assert_eq!(root.samples("two").unwrap(), [1.0, 2.5]);
    assert_eq!(said(root.field("no")), "f.json: there is no `no`");
    assert_eq!(said(root.field("null")), "f.json: there is no `null`");
    assert_eq!(said(root.samples("empty")), "f.json: empty: there are no samples");
    assert_eq!(said(root.samples("three")), "f.json: three: 3 samples, and `n` says 2");
    assert_eq!(said(root.samples("word")), "f.json: word[1]: not a number");
    assert_eq!(said(root.samples("minus")), "f.json: minus: not an array");
    let number = |name: &str| said(root.field(name).unwrap().number());
    assert_eq!(number("minus"), "f.json: minus: -1 cannot have been measured");
    assert!(number("huge").contains("cannot have been measured"));
    assert_eq!(said(root.field("half").unwrap().count()), "f.json: half: not a whole number");
    let side = root.field("in").unwrap().field("side").unwrap().items().unwrap();
    assert_eq!(
        said(side[0].field("text").unwrap().text()),
        "f.json: in.side[0].text: not a string"
    );
}

#[test]
fn a_zero_has_no_sign() {
    let value = json!(-0.0);
    let zero = Node::root(&value, "f.json").number().unwrap();
    assert!(zero == 0.0 && zero.is_sign_positive());
}
