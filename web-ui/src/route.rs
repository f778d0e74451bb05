//! Where in the page one is. It is all in the address, so that reload, back, bookmarks and a colleague's link work.

use std::{collections::BTreeMap, fmt::Write};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Page {
    #[default]
    Overview,
    Nodes,
    Ranges,
    Statements,
    Sessions,
    Locks,
    Schema,
    Sql,
    Security,
    Consistency,
}

impl Page {
    /// In the order of the menu.
    pub const ALL: [Page; 10] = [
        Page::Overview,
        Page::Nodes,
        Page::Ranges,
        Page::Statements,
        Page::Sessions,
        Page::Locks,
        Page::Schema,
        Page::Sql,
        Page::Security,
        Page::Consistency,
    ];

    pub fn title(self) -> &'static str {
        match self {
            Page::Overview => "Overview",
            Page::Nodes => "Nodes",
            Page::Ranges => "Ranges",
            Page::Statements => "Statements",
            Page::Sessions => "Sessions",
            Page::Locks => "Locks",
            Page::Schema => "Schema",
            Page::Sql => "SQL",
            Page::Security => "Security",
            Page::Consistency => "Consistency",
        }
    }

    /// The first part of the address; that of the overview is empty.
    fn word(self) -> String {
        if self == Page::Overview { String::new() } else { self.title().to_ascii_lowercase() }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Route {
    pub page: Page,
    /// What follows the page: `/schema/public/orders` has two.
    pub rest: Vec<String>,
    pub query: BTreeMap<String, String>,
}

impl Route {
    pub fn to(page: Page) -> Route {
        Route { page, ..Route::default() }
    }

    pub fn of(page: Page, rest: &[&str]) -> Route {
        Route { page, rest: rest.iter().map(|part| (*part).to_owned()).collect(), ..Route::default() }
    }

    pub fn with(mut self, name: &str, value: impl Into<String>) -> Route {
        let value = value.into();
        if value.is_empty() {
            self.query.remove(name);
        } else {
            self.query.insert(name.to_owned(), value);
        }
        self
    }

    pub fn part(&self, position: usize) -> &str {
        self.rest.get(position).map_or("", String::as_str)
    }

    pub fn value(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }

    /// From the path and the query string of an address. What is not known leads to the overview.
    pub fn parse(path: &str, query: &str) -> Route {
        let mut parts = path.split('/').filter(|part| !part.is_empty()).map(decode);
        let first = parts.next().unwrap_or_default();
        let Some(page) = Page::ALL.into_iter().find(|page| page.word() == first) else { return Route::default() };
        let pairs = query.trim_start_matches('?').split('&').filter(|pair| !pair.is_empty());
        let query = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).map(|(k, v)| (decode(k), decode(v)));
        Route { page, rest: parts.collect(), query: query.collect() }
    }

    pub fn address(&self) -> String {
        let mut address = format!("/{}", self.page.word());
        for part in &self.rest {
            address.push('/');
            address.push_str(&encode(part));
        }
        for (position, (name, value)) in self.query.iter().enumerate() {
            let mark = if position == 0 { '?' } else { '&' };
            // Writing to a string cannot fail.
            let _ = write!(address, "{mark}{}={}", encode(name), encode(value));
        }
        address
    }
}

fn encode(text: &str) -> String {
    let mut result = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~,".contains(&byte) {
            result.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(result, "%{byte:02X}");
        }
    }
    result
}

fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut result, mut position) = (Vec::new(), 0);
    while position < bytes.len() {
        let hex = bytes.get(position + 1..position + 3).and_then(|hex| std::str::from_utf8(hex).ok());
        match (bytes[position], hex.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (b'%', Some(byte)) => {
                result.push(byte);
                position += 3;
                continue;
            }
            (b'+', _) => result.push(b' '),
            (byte, _) => result.push(byte),
        }
        position += 1;
    }
    String::from_utf8_lossy(&result).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_back() {
        let route = Route::of(Page::Schema, &["public", "a table/50 %"]).with("tab", "ddl & more").with("q", "");
        let address = route.address();
        assert_eq!(address, "/schema/public/a%20table%2F50%20%25?tab=ddl%20%26%20more");
        let (path, query) = address.split_once('?').unwrap();
        assert_eq!(Route::parse(path, query), route);
        for page in Page::ALL {
            assert_eq!(Route::parse(&Route::to(page).address(), "").page, page);
        }
    }

    #[test]
    fn hostile_addresses() {
        assert_eq!(Route::parse("/none", "?a=1"), Route::default());
        assert_eq!(Route::parse("/ranges", "?&=&a&b=%zz%e4%").value("b"), "%zz\u{fffd}%");
    }
}
