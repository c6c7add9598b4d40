use super::Table;

fn table() -> Table {
    let mut table = Table::new(1, &["case", "p50"]);
    table.push(vec!["a|b".to_owned(), "1.0".to_owned()]);
    table.push(vec!["<c>".to_owned(), "2.0".to_owned()]);
    table
}

#[test]
fn markdown_has_a_line_per_row_with_numbers_to_the_right() {
    let expected = "| case | p50 |\n| --- | ---: |\n| a\\|b | 1.0 |\n| &lt;c> | 2.0 |\n";
    assert_eq!(table().markdown(), expected);
}

#[test]
fn the_page_has_the_same_cells() {
    let html = table().html();
    assert!(html.contains("<tr><th class=\"word\">case</th><th>p50</th></tr>"), "{html}");
    assert!(html.contains("<tr><td class=\"word\">a|b</td><td>1.0</td></tr>"), "{html}");
    assert!(html.contains("<td class=\"word\">&lt;c&gt;</td>"), "{html}");
}
