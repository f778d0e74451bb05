//! Results as files.

use crate::rows::Rows;

/// RFC 4180: NULL is an empty field, an empty text is `""`, so that the two can be told apart.
pub fn csv(rows: &Rows) -> String {
    let mut text = line(rows.columns.iter().map(|name| Some(name.as_str())));
    for row in &rows.rows {
        text += &line(row.iter().map(Option::as_deref));
    }
    text
}

fn line<'a>(values: impl Iterator<Item = Option<&'a str>>) -> String {
    let fields: Vec<String> = values
        .map(|value| match value {
            None => String::new(),
            Some(value) if value.is_empty() || value.contains([',', '"', '\n', '\r']) => {
                format!("\"{}\"", value.replace('"', "\"\""))
            }
            Some(value) => value.to_owned(),
        })
        .collect();
    fields.join(",") + "\r\n"
}

/// An array of objects. Values stay texts, as the server wrote them: a JSON number would lose digits of `numeric`.
pub fn json(rows: &Rows) -> String {
    let objects: Vec<String> = rows
        .rows
        .iter()
        .map(|row| {
            let pairs = rows.columns.iter().zip(row);
            let pairs = pairs
                .map(|(name, value)| format!("{}: {}", quote(name), value.as_deref().map_or("null".into(), quote)));
            format!("  {{{}}}", pairs.collect::<Vec<_>>().join(", "))
        })
        .collect();
    format!("[\n{}\n]\n", objects.join(",\n"))
}

fn quote(text: &str) -> String {
    let mut result = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => result.push_str("\\\""),
            '\\' => result.push_str("\\\\"),
            '\n' => result.push_str("\\n"),
            '\r' => result.push_str("\\r"),
            '\t' => result.push_str("\\t"),
            control if (control as u32) < 0x20 => result.push_str(&format!("\\u{:04x}", control as u32)),
            other => result.push(other),
        }
    }
    result + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Rows {
        let row = vec![Some("a,\"b\"\n".to_owned()), None, Some(String::new())];
        Rows { columns: ["x", "y", "z"].map(String::from).to_vec(), rows: vec![row], truncated: false }
    }

    #[test]
    fn comma_separated() {
        assert_eq!(csv(&rows()), "x,y,z\r\n\"a,\"\"b\"\"\n\",,\"\"\r\n");
    }

    #[test]
    fn objects() {
        assert_eq!(json(&rows()), "[\n  {\"x\": \"a,\\\"b\\\"\\n\", \"y\": null, \"z\": \"\"}\n]\n");
    }
}
