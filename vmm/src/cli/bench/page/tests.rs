//! Pages of made-up samples, read back.

use serde_json::{Value, json};

use super::html;
use super::sections::sections;
use super::sections::tests::{
    all_of, clone_case, density, density_case, document, fault_case, fork_case, runs,
};

mod drawn;

use drawn::{Axis, are, drawing, marks, number, of_class, parsed};

fn page(documents: &[Value]) -> String {
    html::page(&sections(&runs(documents)).unwrap(), &[])
}

/// A hundred samples, whose median is `p50` and of which two are `p99`.
fn samples(p50: f64, p99: f64) -> Vec<f64> {
    [vec![p50; 98], vec![p99; 2]].concat()
}

/// The clones of a page: where its marks of p50 and p99 are, and which ratios are written.
fn clones(page: &str) -> (Vec<f64>, Vec<f64>, Vec<String>) {
    let page = parsed(page);
    let drawing = drawing(&page, "How long a clone takes");
    let ratios = of_class(drawing, "ratio").map(|node| node.text().unwrap().to_owned());
    (marks(drawing, "p50"), marks(drawing, "p99"), ratios.collect())
}

#[test]
fn clones_are_where_the_axis_says() {
    let case =
        |ours| clone_case(&samples(ours, 3000.0), &samples(500.0, 900.0), &samples(700.0, 7000.0));
    let page_of = |ours| page(&[document("clone", "hostcow", json!([case(ours)]))]);
    let (p50, p99, ratios) = clones(&page_of(1050.0));
    assert!(are(&p50, &[1050.0, 500.0, 700.0]), "{p50:?}");
    assert!(are(&p99, &[3000.0, 900.0, 7000.0]), "{p99:?}");
    assert_eq!(ratios, ["2.10 \u{d7}", "1.50 \u{d7}"]);
    // The control: other samples are seen.
    let (p50, p99, ratios) = clones(&page_of(1100.0));
    assert!(!are(&p50, &[1050.0, 500.0, 700.0]), "{p50:?}");
    assert!(are(&p99, &[3000.0, 900.0, 7000.0]), "{p99:?}");
    assert_ne!(ratios, ["2.10 \u{d7}", "1.50 \u{d7}"]);
}

#[test]
fn backings_share_a_plot_with_a_floor_each() {
    let of = |backing, ours: f64, floor: f64| {
        let [us, exit] = [ours, floor].map(|value| samples(value, value * 1.5));
        document("clone", backing, json!([clone_case(&us, &exit, &exit)]))
    };
    let page = page(&[of("trap", 2000.0, 500.0), of("hostcow", 600.0, 550.0)]);
    let (p50, ..) = clones(&page);
    assert!(are(&p50, &[2000.0, 500.0, 500.0, 600.0, 550.0, 550.0]), "{p50:?}");
    let page = parsed(&page);
    let details = of_class(drawing(&page, "How long a clone"), "detail");
    let details: Vec<_> = details.map(|node| node.text().unwrap()).collect();
    assert_eq!(details, ["trap \u{b7} n 100", "hostcow \u{b7} n 100"]);
}

#[test]
fn values_within_a_decade_have_an_axis_from_zero() {
    let case = fault_case("copy", &samples(24.0, 30.0), &samples(20.0, 29.0));
    let page = page(&[document("fault", "hostcow", json!([case]))]);
    let page = parsed(&page);
    let drawing = drawing(&page, "What a first write costs");
    let first = of_class(drawing, "tick x").last().unwrap();
    assert_eq!(first.text(), Some("0"));
    assert!(are(&marks(drawing, "p50"), &[24.0, 20.0]));
}

/// The middles of the lines of pauses, line by line, in the order in which they are drawn.
fn pauses(page: &str) -> Vec<Vec<f64>> {
    let page = parsed(page);
    let drawing = drawing(&page, "How long the parent stands still: hostcow, contiguous");
    let axis = Axis::of(drawing, "y");
    let line = |track| of_class(track, "p50").map(|dot| axis.value(number(dot, "cy"))).collect();
    of_class(drawing, "track").map(line).collect()
}

#[test]
fn pauses_are_where_the_axes_say() {
    let page_of = |third: f64| {
        let [small, middle, large] =
            [(1 << 20, 300.0), (4 << 20, 900.0), (16 << 20, third)].map(|(dirty, us)| {
                fork_case(dirty, &samples(us, us * 2.0), &samples(us / 2.0, us), 2500.0)
            });
        // In another order: a line goes from left to right all the same.
        page(&[document("fork", "hostcow", json!([large, small, middle]))])
    };
    let expected = [vec![2500.0; 3], vec![150.0, 450.0, 2000.0], vec![300.0, 900.0, 4000.0]];
    let all = |found: &[Vec<f64>]| {
        found.len() == 3 && found.iter().zip(&expected).all(|(found, line)| are(found, line))
    };
    assert!(all(&pauses(&page_of(4000.0))), "{:?}", pauses(&page_of(4000.0)));
    assert!(!all(&pauses(&page_of(4400.0))));
    let page = page_of(4000.0);
    let page = parsed(&page);
    let drawing = drawing(&page, "How long the parent stands still");
    let sizes = of_class(drawing, "tick x").map(|node| (number(node, "x"), node.text().unwrap()));
    let sizes: Vec<_> = sizes.collect();
    assert_eq!(sizes.iter().map(|size| size.1).collect::<Vec<_>>(), ["1M", "4M", "16M"]);
    assert!((sizes[1].0 * 2.0 - sizes[0].0 - sizes[2].0).abs() < 0.3, "{sizes:?}");
    let ratios = of_class(drawing, "ratio").map(|node| node.text().unwrap());
    assert_eq!(ratios.collect::<Vec<_>>(), ["2.00 \u{d7}"; 3]);
}

#[test]
fn memory_is_where_the_axis_says() {
    let page_of = |each: u64| {
        let clones = density_case("clone", 1000, each << 10, &[900.0]);
        page(&[density(&[clones, density_case("floor", 1000, 1 << 20, &[600.0])])])
    };
    let lines = |page: &str| -> Vec<Vec<f64>> {
        let page = parsed(page);
        let drawing = drawing(&page, "Unique memory by number of clones");
        let axis = Axis::of(drawing, "y");
        let line =
            |track| of_class(track, "p50").map(|dot| axis.value(number(dot, "cy"))).collect();
        of_class(drawing, "track").map(line).collect()
    };
    let found = lines(&page_of(1536));
    assert!(are(&found[0], &[500.0, 1000.0]) && are(&found[1], &[750.0, 1500.0]), "{found:?}");
    assert!(!are(&lines(&page_of(1600))[1], &[750.0, 1500.0]));
}

#[test]
fn any_samples_make_a_whole_page() {
    let ends = [0.0, 0.1, 1e14];
    for samples in [&[0.0][..], &[7.0], &[5.0; 9], &[0.0; 4], &ends, &[1e-9, 1e14], &[0.0, 3.0]] {
        let page = page(&all_of(samples));
        let page = parsed(&page);
        let drawings = page.descendants().filter(|node| node.has_tag_name("svg"));
        let mut count = 0;
        for drawing in drawings {
            count += 1;
            let size: Vec<f64> = drawing
                .attribute("viewBox")
                .unwrap()
                .split(' ')
                .map(|word| word.parse().unwrap())
                .collect();
            for node in drawing.descendants() {
                for (names, most) in
                    [(["x", "x1", "x2", "cx"], size[2]), (["y", "y1", "y2", "cy"], size[3])]
                {
                    for value in names.iter().filter_map(|name| node.attribute(*name)) {
                        let value: f64 = value.parse().unwrap();
                        assert!((0.0..=most).contains(&value), "{value} of {most}: {samples:?}");
                    }
                }
                let outline = node.attribute("d").unwrap_or_default();
                assert!(!outline.contains("NaN") && !outline.contains("inf"), "{outline}");
            }
        }
        assert_eq!(count, 12, "a drawing each, two of forks, of first writes and of many clones");
    }
}

#[test]
fn what_was_printed_cannot_become_markup() {
    let hostile = "\"><script>alert(1)</script><img src='x' onerror=y>&amp;]]>\u{1b}[31m\u{202e}\0";
    let mut documents = all_of(&[1.0, 2.0]);
    documents.push(all_of(&[3.0]).remove(2));
    for document in &mut documents {
        for field in ["command", "rules", "known_findings", "backing"] {
            document[field] = hostile.into();
        }
        document["machine"]["cpu"] = hostile.into();
        document["machine"]["kernel"] = hostile.into();
        document["violations"] = json!([hostile]);
        document["refused"] = json!([hostile, "a | b\n\n# c `d`"]);
        let case = &mut document["cases"][0];
        for field in ["case", "layout", "disk", "direction"] {
            if case.get(field).is_some() {
                case[field] = hostile.into();
            }
        }
    }
    let text = page(&documents);
    let page = parsed(&text);
    let names = ["script", "img"];
    assert!(!page.descendants().any(|node| names.contains(&node.tag_name().name())));
    assert!(!page.descendants().any(|node| node.has_attribute("onerror")));
    assert!(text.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    let markdown = html::markdown(&sections(&runs(&documents)).unwrap(), &[hostile.to_owned()]);
    for text in [&text, &markdown] {
        let bad = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!text.contains(bad));
    }
    let mut is_code = false;
    for line in markdown.lines() {
        is_code ^= line.starts_with("```");
        assert!(is_code || !line.contains('<'), "{line}");
    }
    assert!(markdown.contains(r": a \| b  \# c \`d\`"), "{markdown}");
}

#[test]
fn a_page_needs_nothing_else() {
    let text = page(&all_of(&[1.0, 2.0]));
    for word in ["http", "src=", "url(", "@import", "<script", "<link"] {
        assert!(!text.contains(word), "{word}");
    }
    assert!(text.contains("prefers-color-scheme: dark"));
}

#[test]
fn what_is_wrong_comes_first() {
    let mut documents = all_of(&[1.0]);
    assert!(!page(&documents).contains("class=\"alarm\""));
    documents[1]["violations"] = json!(["page at 0x1000 has 1, not 2"]);
    let text = page(&documents);
    let alarm = text.find("fork: VIOLATION hostcow: page at 0x1000 has 1, not 2").unwrap();
    assert!(alarm < text.find("<main>").unwrap());
    let sections = sections(&runs(&all_of(&[1.0]))).unwrap();
    let missing = ["`pincow bench blk`: no disk".to_owned()];
    assert!(html::page(&sections, &missing).contains("<li>`pincow bench blk`: no disk</li>"));
    assert!(
        html::markdown(&sections, &missing)
            .contains(r"Not measured: \`pincow bench blk\`: no disk")
    );
}

#[test]
fn every_plot_names_its_axis_and_unit() {
    let text = page(&all_of(&[1.0, 20.0]));
    let page = parsed(&text);
    for drawing in page.descendants().filter(|node| node.has_tag_name("svg")) {
        let name = drawing.attribute("aria-label").unwrap();
        let mut axes = of_class(drawing, "axis").map(|node| node.text().unwrap());
        let unit =
            |axis: &str| ["\u{b5}s", "ns", "IOPS", "MiB"].iter().any(|unit| axis.contains(unit));
        assert!(axes.any(unit), "{name}");
    }
}
