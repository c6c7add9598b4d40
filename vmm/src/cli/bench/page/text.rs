//! Text and numbers as a page, a table and a terminal may have them.

#[cfg(test)]
mod tests;

/// Without characters that would do something instead of being read: controls, and those that
/// change the direction of what follows.
pub(super) fn plain(text: &str) -> String {
    let plain = |c: char| match c {
        '\t' | '\n' | '\r' => ' ',
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        // XML has no way to write these two.
        '\u{fffe}' | '\u{ffff}' => '\u{fffd}',
        c if c.is_control() => '\u{fffd}',
        c => c,
    };
    text.chars().map(plain).collect()
}

/// Plain text between tags or in a quoted attribute, in HTML and XML alike.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in plain(text).chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Plain text in a line of Markdown, none of which is markup.
pub(super) fn in_markdown(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for c in plain(text).chars() {
        match c {
            '&' => written.push_str("&amp;"),
            '<' => written.push_str("&lt;"),
            '\\' | '|' | '`' | '*' | '_' | '[' | ']' | '!' | '#' | '~' => written.extend(['\\', c]),
            c => written.push(c),
        }
    }
    written
}

/// A number with as many digits as say something, thousands apart: 1,234; 12.3; 0.04.
pub(super) fn figures(value: f64) -> String {
    let digits = match value {
        100.0.. => 0,
        1.0.. => 1,
        0.1.. => 2,
        0.0 => 0,
        _ => 4,
    };
    let text = format!("{value:.digits$}");
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{}{point}{fraction}", thousands(whole))
}

fn thousands(digits: &str) -> String {
    let mut written = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            written.push(',');
        }
        written.push(digit);
    }
    written
}

/// A place on a page, to a tenth of its unit.
pub(super) fn place(value: f64) -> String {
    let tenths = format!("{value:.1}");
    tenths.strip_suffix(".0").map(str::to_owned).unwrap_or(tenths)
}
