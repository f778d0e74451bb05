//! Numbers for people: short, and the same width for the same magnitude, so that columns can be compared by eye.

/// `1,234,567`: whole numbers, grouped.
pub fn count(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if value <= -0.5 { format!("-{text}") } else { text }
}

/// `1.5 MiB`.
pub fn bytes(value: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut value, mut unit) = (value, 0);
    while value.abs() >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{value:.0} B") } else { format!("{} {}", three_digits(value), units[unit]) }
}

/// `12.3 ms` from milliseconds.
pub fn millis(value: f64) -> String {
    match value.abs() {
        _ if !value.is_finite() => "–".to_owned(),
        v if v < 0.001 => "0 ms".to_owned(),
        v if v < 1.0 => format!("{} µs", three_digits(value * 1000.0)),
        v if v < 1000.0 => format!("{} ms", three_digits(value)),
        v if v < 60_000.0 => format!("{} s", three_digits(value / 1000.0)),
        v if v < 3_600_000.0 => format!("{:.0} min {:.0} s", (v / 60_000.0).floor(), (v % 60_000.0 / 1000.0).floor()),
        v => format!("{:.0} h {:.0} min", (v / 3_600_000.0).floor(), (v % 3_600_000.0 / 60_000.0).floor()),
    }
}

/// `3.2` or `1,234`: a rate or another number of any size.
pub fn short(value: f64) -> String {
    if value != 0.0 && value.abs() < 1000.0 && value.fract() != 0.0 { three_digits(value) } else { count(value) }
}

fn three_digits(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// `1 node`, `2 nodes`.
pub fn plural(number: usize, word: &str) -> String {
    let ending = match word {
        _ if number == 1 => "",
        _ if word.ends_with('s') => "es",
        _ => "s",
    };
    format!("{number} {word}{ending}")
}

/// The text on one line, cut to so many characters.
pub fn one_line(text: &str, characters_max: usize) -> String {
    let mut line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = line.char_indices().nth(characters_max) {
        line.truncate(end);
        line.push('…');
    }
    line
}

/// The text on one line; of more than so many characters the middle is left out, so that a list shows how it begins and what
/// came last.
pub fn ends(text: &str, characters_max: usize) -> String {
    let line = one_line(text, usize::MAX);
    let count = line.chars().count();
    if count <= characters_max {
        return line;
    }
    let head = characters_max / 3;
    let tail = count - (characters_max - head);
    let mut short: String = line.chars().take(head).collect();
    short.push_str(" … ");
    short.extend(line.chars().skip(tail));
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_grouped() {
        assert_eq!([0.0, 999.0, 1000.0, 1_234_567.0, -1000.0].map(count), ["0", "999", "1,000", "1,234,567", "-1,000"]);
    }

    #[test]
    fn bytes_and_times() {
        assert_eq!([0.0, 1023.0, 1536.0, 96.0 * 1_048_576.0].map(bytes), ["0 B", "1023 B", "1.50 KiB", "96.0 MiB"]);
        let times = [0.0, 0.25, 12.345, 1500.0, 61_000.0, 3_661_000.0].map(millis);
        assert_eq!(times, ["0 ms", "250 µs", "12.3 ms", "1.50 s", "1 min 1 s", "1 h 1 min"]);
    }

    #[test]
    fn words() {
        assert_eq!(
            [plural(1, "node"), plural(0, "replica"), plural(2, "process")],
            ["1 node", "0 replicas", "2 processes"]
        );
        assert_eq!(one_line("SELECT\n  1", 20), "SELECT 1");
        assert_eq!(one_line("äöü", 2), "äö…");
        assert_eq!(ends("1\n2 3", 5), "1 2 3");
        assert_eq!(ends("abcdefghi", 6), "ab … fghi");
    }
}
