//! The statements that would make a table again, from what the catalog says of it.

use crate::{
    rows::Rows,
    statement::{quote_name, quote_text},
};

/// From the columns (`name`, `type`, `not_null`, `default_value`), the constraints (`name`, `kind`, `definition`) and the
/// indexes (`name`, `of_constraint`, `definition`) of a table.
pub fn create_table(schema: &str, name: &str, columns: &Rows, constraints: &Rows, indexes: &Rows) -> String {
    let mut lines: Vec<String> = columns
        .iter()
        .map(|column| {
            let mut line = format!("    {} {}", quote_name(&column.text("name")), column.text("type"));
            if let Some(default) = column.get("default_value").filter(|text| !text.is_empty()) {
                line += &format!(" DEFAULT {default}");
            }
            if column.flag("not_null") == Some(true) {
                line += " NOT NULL";
            }
            line
        })
        .collect();
    for constraint in constraints.iter().filter(|constraint| constraint.get("kind") != Some("n")) {
        lines.push(format!(
            "    CONSTRAINT {} {}",
            quote_name(&constraint.text("name")),
            constraint.text("definition")
        ));
    }
    let mut text = format!("CREATE TABLE {}.{} (\n{}\n);\n", quote_name(schema), quote_name(name), lines.join(",\n"));
    for index in indexes.iter().filter(|index| index.flag("of_constraint") != Some(true)) {
        text += &format!("{};\n", index.text("definition"));
    }
    text
}

/// A name as a text that `::regclass` reads.
pub fn regclass(schema: &str, name: &str) -> String {
    format!("{}::regclass", quote_text(&format!("{}.{}", quote_name(schema), quote_name(name))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(columns: &[&str], rows: &[&[&str]]) -> Rows {
        let row = |row: &&[&str]| row.iter().map(|value| (*value != "-").then(|| (*value).to_owned())).collect();
        Rows {
            columns: columns.iter().map(|name| (*name).to_owned()).collect(),
            rows: rows.iter().map(row).collect(),
            truncated: false,
        }
    }

    #[test]
    fn a_table_with_everything() {
        let columns = rows(
            &["name", "type", "not_null", "default_value"],
            &[&["id", "integer", "t", "-"], &["Order", "text", "f", "'x'::text"]],
        );
        let constraints = rows(&["name", "kind", "definition"], &[&["t_pkey", "p", "PRIMARY KEY (id)"]]);
        let index = "CREATE INDEX t_order ON public.t USING btree (\"Order\")";
        let indexes = rows(
            &["name", "of_constraint", "definition"],
            &[&["t_pkey", "t", "CREATE UNIQUE INDEX t_pkey ON …"], &["t_order", "f", index]],
        );
        let expected = "CREATE TABLE public.t (
    id integer NOT NULL,
    \"Order\" text DEFAULT 'x'::text,
    CONSTRAINT t_pkey PRIMARY KEY (id)
);
CREATE INDEX t_order ON public.t USING btree (\"Order\");
";
        assert_eq!(create_table("public", "t", &columns, &constraints, &indexes), expected);
        assert_eq!(regclass("a b", "it's"), "'\"a b\".\"it''s\"'::regclass");
    }
}
