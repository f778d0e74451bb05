//! Names that PostgreSQL makes up for constraints, indexes and sequences.

use super::Change;

/// The longest identifier, in bytes.
pub const NAME_BYTES_MAX: usize = 63;

impl Change<'_> {
    /// A name of the form `first_second_label` that no relation of the schema has, and that is not in `taken`.
    pub(super) fn free_name(
        &self,
        schema: &str,
        first: &str,
        second: Option<&str>,
        label: &str,
        taken: &[String],
    ) -> String {
        let is_free = |name: &String| self.catalog.snapshot.named(schema, name).is_none() && !taken.contains(name);
        candidates(first, second, label).find(is_free).unwrap_or_default()
    }
}

/// A name of that form that is not in `taken`: for constraints, which share no name space with relations.
pub fn free_among(first: &str, second: Option<&str>, label: &str, taken: &[String]) -> String {
    candidates(first, second, label).find(|name| !taken.contains(name)).unwrap_or_default()
}

fn candidates(first: &str, second: Option<&str>, label: &str) -> impl Iterator<Item = String> {
    (0..).map(move |number: u32| {
        let label = if number == 0 { label.to_owned() } else { format!("{label}{number}") };
        make_name(first, second, &label)
    })
}

/// Joins the parts with underscores; shortens the longer of the first two until all fits.
fn make_name(first: &str, second: Option<&str>, label: &str) -> String {
    let overhead = label.len() + 1 + usize::from(second.is_some());
    let (mut a, mut b) = (first.len(), second.map_or(0, str::len));
    while a + b + overhead > NAME_BYTES_MAX {
        if a > b { a -= 1 } else { b -= 1 }
    }
    let first = clip(first, a);
    match second {
        Some(second) => format!("{first}_{}_{label}", clip(second, b)),
        None => format!("{first}_{label}"),
    }
}

/// At most `bytes` of the text, cut between characters.
pub fn clip(text: &str, bytes: usize) -> &str {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_shortened_in_the_middle() {
        let (a, b) = ("a".repeat(60), "b".repeat(20));
        let name = make_name(&a, Some(&b), "key");
        assert_eq!(name.len(), NAME_BYTES_MAX);
        assert!(name.ends_with(&format!("_{b}_key")));
        assert_eq!(make_name("t", None, "pkey"), "t_pkey");
    }
}
