//! Options of COPY, in both syntaxes.

use sqlparser::ast::{CopyLegacyCsvOption, CopyLegacyOption, CopyOption, Ident};

use crate::error::{Result, SqlError, SqlState};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Text,
    Csv,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    pub format: Format,
    pub delimiter: u8,
    pub null: String,
    pub header: bool,
    pub quote: u8,
    pub escape: u8,
    /// Columns by name; `["*"]` for all.
    pub force_quote: Vec<String>,
    pub force_not_null: Vec<String>,
    pub force_null: Vec<String>,
}

/// What was given, before the defaults of the format are known.
#[derive(Default)]
struct Given {
    csv: bool,
    delimiter: Option<char>,
    null: Option<String>,
    header: bool,
    quote: Option<char>,
    escape: Option<char>,
    force_quote: Vec<String>,
    force_not_null: Vec<String>,
    force_null: Vec<String>,
}

impl Options {
    pub fn new(options: &[CopyOption], legacy: &[CopyLegacyOption]) -> Result<Options> {
        let mut given = Given::default();
        for option in options {
            given.option(option)?;
        }
        for option in legacy {
            given.legacy(option)?;
        }
        given.finish()
    }
}

impl Given {
    fn option(&mut self, option: &CopyOption) -> Result<()> {
        match option {
            CopyOption::Format(name) => match name.value.to_ascii_lowercase().as_str() {
                "text" => self.csv = false,
                "csv" => self.csv = true,
                "binary" => return Err(SqlError::unsupported("COPY in binary format")),
                _ => {
                    let message = format!("COPY format \"{}\" not recognized", name.value);
                    return Err(SqlError::new(SqlState::INVALID_PARAMETER_VALUE, message));
                }
            },
            // Rows of a new table are written straight to their place anyway.
            CopyOption::Freeze(_) => {}
            CopyOption::Delimiter(delimiter) => self.delimiter = Some(*delimiter),
            CopyOption::Null(null) => self.null = Some(null.clone()),
            CopyOption::Header(header) => self.header = *header,
            CopyOption::Quote(quote) => self.quote = Some(*quote),
            CopyOption::Escape(escape) => self.escape = Some(*escape),
            CopyOption::ForceQuote(columns) => self.force_quote = names(columns),
            CopyOption::ForceNotNull(columns) => self.force_not_null = names(columns),
            CopyOption::ForceNull(columns) => self.force_null = names(columns),
            CopyOption::Encoding(encoding) => {
                let plain: String = encoding.chars().filter(char::is_ascii_alphanumeric).collect();
                if !plain.eq_ignore_ascii_case("utf8") && !plain.eq_ignore_ascii_case("unicode") {
                    return Err(SqlError::unsupported(format!("COPY with encoding \"{encoding}\"")));
                }
            }
        }
        Ok(())
    }

    fn legacy(&mut self, option: &CopyLegacyOption) -> Result<()> {
        match option {
            CopyLegacyOption::Binary => return Err(SqlError::unsupported("COPY in binary format")),
            CopyLegacyOption::Delimiter(delimiter) => self.delimiter = Some(*delimiter),
            CopyLegacyOption::Null(null) => self.null = Some(null.clone()),
            CopyLegacyOption::Header => self.header = true,
            CopyLegacyOption::Csv(options) => {
                self.csv = true;
                for option in options {
                    match option {
                        CopyLegacyCsvOption::Header => self.header = true,
                        CopyLegacyCsvOption::Quote(quote) => self.quote = Some(*quote),
                        CopyLegacyCsvOption::Escape(escape) => self.escape = Some(*escape),
                        CopyLegacyCsvOption::ForceQuote(columns) => self.force_quote = names(columns),
                        CopyLegacyCsvOption::ForceNotNull(columns) => self.force_not_null = names(columns),
                    }
                }
            }
            other => return Err(SqlError::unsupported(format!("COPY option {other}"))),
        }
        Ok(())
    }

    fn finish(self) -> Result<Options> {
        let csv_only: [(&str, bool); 5] = [
            ("quote", self.quote.is_some()),
            ("escape", self.escape.is_some()),
            ("force quote", !self.force_quote.is_empty()),
            ("force not null", !self.force_not_null.is_empty()),
            ("force null", !self.force_null.is_empty()),
        ];
        if let (false, Some((name, _))) = (self.csv, csv_only.iter().find(|(_, given)| *given)) {
            return Err(SqlError::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!("COPY {name} available only in CSV mode"),
            ));
        }
        let delimiter = one_byte("delimiter", self.delimiter.unwrap_or(if self.csv { ',' } else { '\t' }))?;
        let quote = one_byte("quote", self.quote.unwrap_or('"'))?;
        let escape = one_byte("escape", self.escape.unwrap_or(quote as char))?;
        if !self.csv && (delimiter.is_ascii_alphanumeric() || delimiter == b'\\' || delimiter == b'.') {
            let message = format!("COPY delimiter cannot be \"{}\"", delimiter as char);
            return Err(SqlError::new(SqlState::INVALID_PARAMETER_VALUE, message));
        }
        if self.csv && delimiter == quote {
            let message = "COPY delimiter and quote must be different";
            return Err(SqlError::new(SqlState::INVALID_PARAMETER_VALUE, message));
        }
        let null = self.null.unwrap_or_else(|| if self.csv { String::new() } else { "\\N".to_owned() });
        if null.contains(['\n', '\r']) {
            let message = "COPY null representation cannot use newline or carriage return";
            return Err(SqlError::new(SqlState::INVALID_PARAMETER_VALUE, message));
        }
        Ok(Options {
            format: if self.csv { Format::Csv } else { Format::Text },
            delimiter,
            null,
            header: self.header,
            quote,
            escape,
            force_quote: self.force_quote,
            force_not_null: self.force_not_null,
            force_null: self.force_null,
        })
    }
}

fn one_byte(what: &str, character: char) -> Result<u8> {
    match u8::try_from(character) {
        Ok(byte) if byte.is_ascii() && byte != b'\n' && byte != b'\r' => Ok(byte),
        _ => {
            let message = format!("COPY {what} must be a single one-byte character");
            Err(SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, message))
        }
    }
}

fn names(columns: &[Ident]) -> Vec<String> {
    columns.iter().map(|column| column.value.clone()).collect()
}
