use super::{escaped, figures, in_markdown, place, plain};

#[test]
fn figures_have_as_many_digits_as_say_something() {
    let expected = [
        (0.0, "0"),
        (0.0412, "0.0412"),
        (0.5, "0.5"),
        (5.0, "5"),
        (12.34, "12.3"),
        (99.96, "100"),
        (1050.4, "1,050"),
        (1e6, "1,000,000"),
        (123_456.0, "123,456"),
    ];
    for (value, text) in expected {
        assert_eq!(figures(value), text);
    }
}

#[test]
fn places_have_a_tenth() {
    assert_eq!([1.0, 1.25, 1.96].map(place), ["1", "1.2", "2"]);
}

#[test]
fn no_character_of_markup_or_of_a_terminal_is_left() {
    assert_eq!(escaped("<a href=\"x\">&'"), "&lt;a href=&quot;x&quot;&gt;&amp;&#39;");
    assert_eq!(
        plain("a\nb\tc\u{1b}[0m\0\u{7f}\u{9b}\u{202e}\u{ffff}"),
        "a b c\u{fffd}[0m\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}"
    );
    assert_eq!(in_markdown("a|b `c` <d> *e*"), r"a\|b \`c\` &lt;d> \*e\*");
    assert_eq!(in_markdown("64M, \u{b5}s (8-64)"), "64M, \u{b5}s (8-64)");
}
