//! What a statement brought, as text: the page shows values the way the server writes them.

/// One result: names of columns and rows of values; `None` is NULL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<Option<String>>>,
    /// There were more rows than the page keeps.
    pub truncated: bool,
}

impl Rows {
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column == name)
    }

    pub fn iter(&self) -> impl Iterator<Item = Row<'_>> {
        self.rows.iter().map(|values| Row { rows: self, values })
    }

    pub fn first(&self) -> Option<Row<'_>> {
        self.iter().next()
    }

    /// The values of the first column, those that are not NULL.
    pub fn first_column(&self) -> impl Iterator<Item = String> {
        self.rows.iter().filter_map(|row| row.first()?.clone())
    }

    /// Whether every value of the column that is not NULL is a number, and there is one.
    pub fn is_numeric(&self, column: usize) -> bool {
        let mut values = self.rows.iter().filter_map(|row| row.get(column)?.as_deref()).peekable();
        values.peek().is_some() && values.all(|value| value.parse::<f64>().is_ok())
    }
}

/// One row, its values by the names of their columns.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    rows: &'a Rows,
    values: &'a [Option<String>],
}

impl<'a> Row<'a> {
    pub fn get(&self, column: &str) -> Option<&'a str> {
        self.values.get(self.rows.column(column)?)?.as_deref()
    }

    /// The value, or nothing at all for NULL and for columns that the server does not have.
    pub fn text(&self, column: &str) -> String {
        self.get(column).unwrap_or_default().to_owned()
    }

    pub fn number(&self, column: &str) -> Option<f64> {
        self.get(column)?.parse().ok()
    }

    pub fn flag(&self, column: &str) -> Option<bool> {
        match self.get(column)? {
            "t" | "true" => Some(true),
            "f" | "false" => Some(false),
            _ => None,
        }
    }

    /// The elements of an array of numbers or plain words: `{1,2,3}`.
    pub fn list(&self, column: &str) -> Vec<&'a str> {
        let text = self.get(column).unwrap_or_default();
        let inner = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or_default();
        inner.split(',').filter(|element| !element.is_empty()).collect()
    }
}

/// Why a statement, or a connection, failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failure {
    /// Empty when the server had no say, for instance because it was not reached.
    pub sqlstate: String,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
    /// Where in the statement, in characters from 1.
    pub position: Option<u32>,
}

impl Failure {
    pub fn local(message: impl Into<String>) -> Failure {
        Failure { message: message.into(), ..Failure::default() }
    }

    /// A refusal of a ticket. The server's answer names it and speaks of a password, which nobody has typed.
    pub fn of_ticket(self) -> Failure {
        match self.sqlstate.as_str() {
            "28P01" => Failure { message: "the ticket has ended, was taken back, or is not right".to_owned(), ..self },
            _ => self,
        }
    }

    /// The server does not have what was asked for: an older one, or one without that view.
    pub fn is_missing(&self) -> bool {
        matches!(self.sqlstate.as_str(), "42P01" | "42883" | "42703" | "3F000" | "0A000")
    }

    /// Signing in was refused, as opposed to: it could not be tried.
    pub fn is_refusal(&self) -> bool {
        self.sqlstate.starts_with("28")
    }
}

#[cfg(test)]
#[path = "rows_test.rs"]
mod tests;
