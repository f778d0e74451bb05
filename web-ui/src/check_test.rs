use super::*;

/// `a x 1` appends, `r x 1,2` reads; times follow the order of the lines unless they say `began-ended`.
fn history(lines: &[&str]) -> Vec<Transaction> {
    let transaction = |(position, line): (usize, &&str)| {
        let mut words = line.split(' ').peekable();
        let (began, ended) = match words.next_if(|word| word.contains('-')) {
            Some(times) => times.split_once('-').map(|(b, e)| (b.parse().unwrap(), e.parse().unwrap())).unwrap(),
            None => (position as f64 * 10.0, position as f64 * 10.0 + 5.0),
        };
        let outcome = match words.next_if(|word| matches!(*word, "abort" | "unknown")) {
            Some("abort") => Outcome::Aborted,
            Some(_) => Outcome::Unknown,
            None => Outcome::Committed,
        };
        let mut operations = Vec::new();
        while let (Some(what), Some(key), Some(value)) = (words.next(), words.next(), words.next()) {
            let key = u32::from(key.as_bytes()[0]);
            operations.push(match what {
                "a" => Operation::Append { key, value: value.parse().unwrap() },
                _ => Operation::Read { key, list: value.split(',').filter_map(|value| value.parse().ok()).collect() },
            });
        }
        Transaction { client: 0, operations, outcome, began, ended }
    };
    lines.iter().enumerate().map(transaction).collect()
}

fn names(lines: &[&str]) -> Vec<&'static str> {
    anomalies(&history(lines)).iter().map(Anomaly::name).collect()
}

#[test]
fn a_serial_history_is_fine() {
    assert!(names(&["a x 1", "r x 1 a x 2", "r x 1,2 a y 3 r y 3", "r y 3 r x 1,2"]).is_empty());
    assert!(names(&["abort a x 1", "r x -", "unknown a x 2", "r x 2", "unknown a x 3", "r x 2"]).is_empty());
}

#[test]
fn what_single_reads_show() {
    assert!(names(&["abort a x 1", "r x 1"]).contains(&"G1a: aborted read"));
    assert!(names(&["r x 7"]).contains(&"value from nowhere"));
    assert!(names(&["a x 1", "r x 1,1"]).contains(&"value from nowhere"));
    assert!(names(&["a x 1", "a x 2", "r x 1,2", "r x 2,1"]).contains(&"reads disagree on the order of a list"));
    assert!(names(&["a x 1", "r x -"]).contains(&"lost append"));
    assert!(names(&["a x 1 r x -"]).contains(&"own append not seen"));
}

#[test]
fn write_skew_is_a_circle() {
    let skew = ["0-9 r x - a y 1", "0-9 r y - a x 2", "20-21 r x 2 r y 1"];
    assert_eq!(names(&skew), ["G2: anti-dependency circle"]);
}

#[test]
fn read_skew_is_a_circle() {
    assert_eq!(names(&["0-9 a x 1 a y 2", "0-9 r x - r y 2", "20-21 r x 1"]), ["G-single: read skew"]);
}

#[test]
fn information_flows_in_a_circle() {
    assert_eq!(names(&["0-9 a x 1 r y 2", "0-9 a y 2 r x 1"]), ["G1c: circular information flow"]);
}

#[test]
fn write_circles() {
    assert_eq!(names(&["0-9 a x 1 a y 2", "0-9 a x 3 a y 4", "20-21 r x 1,3 r y 4,2"]), ["G0: write circle"]);
}

#[test]
fn a_stale_read_is_a_circle_against_real_time() {
    assert_eq!(names(&["a x 1", "a x 2", "r x 1", "r x 1,2"]), ["circle against real time"]);
    // The same reads at the same time are fine.
    assert!(names(&["0-99 a x 1", "0-99 a x 2", "0-99 r x 1", "100-101 r x 1,2"]).is_empty());
}

#[test]
fn real_time_reaches_over_others() {
    // The first ended long before the last began; the ones between overlap both.
    assert_eq!(
        names(&["0-1 a x 1", "0-50 r z -", "60-61 r y -", "70-71 r x -", "80-81 r x 1"]),
        ["circle against real time"]
    );
}
