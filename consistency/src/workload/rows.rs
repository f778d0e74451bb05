//! A table of numbered rows with one value each, in every [`Shape`].

use super::parameters::{Parameters, Shape};

/// The statements that workloads over keys and values are made of. Rows are found by `key`: the primary key, or with
/// [`Shape::SecondaryIndex`] a column with a unique index of its own, in a table that is ordered by something else.
#[derive(Clone, Copy, Debug)]
pub struct Rows {
    pub table: &'static str,
    /// Type and constraint of `value`.
    pub value: &'static str,
    pub shape: Shape,
    /// How many keys there are, from 0.
    pub keys: u64,
}

impl Rows {
    /// Rows with a number each.
    pub fn of_numbers(table: &'static str, keys: u64, parameters: &Parameters) -> Rows {
        Rows { table, value: "int8 NOT NULL", shape: parameters.shape, keys }
    }

    /// Creates the table and cuts it into ranges (where the cluster knows what that is).
    pub fn create(&self, is_locus: bool) -> Vec<String> {
        let Rows { table, value, shape, keys } = *self;
        let key = match shape {
            Shape::OneRange | Shape::ManyRanges => "key int8 PRIMARY KEY".to_owned(),
            Shape::SecondaryIndex => "id int8 PRIMARY KEY, key int8 NOT NULL UNIQUE".to_owned(),
        };
        let mut statements = vec![format!("CREATE TABLE {table} ({key}, value {value})")];
        if is_locus && shape != Shape::OneRange {
            statements.push(self.split_at(keys / 6));
            statements.push(self.split_at(keys / 2));
        }
        if is_locus && shape == Shape::SecondaryIndex {
            statements.push(format!("ALTER INDEX {table}_key_key SPLIT AT VALUES ({})", keys / 3));
        }
        statements
    }

    /// As [`Rows::create`], with all keys there from the beginning: zeros.
    pub fn create_zeros(&self, is_locus: bool) -> Vec<String> {
        let mut statements = self.create(is_locus);
        statements.extend((0..self.keys).map(|key| self.insert(key, "0")));
        statements
    }

    /// Cuts the table at a key.
    pub fn split_at(&self, key: u64) -> String {
        format!("ALTER TABLE {} SPLIT AT VALUES ({})", self.table, self.first_column(key))
    }

    /// `INSERT INTO … VALUES (…)`, to which a conflict clause can be added. `value` is an SQL expression.
    pub fn insert(&self, key: u64, value: &str) -> String {
        let table = self.table;
        match self.shape {
            Shape::OneRange | Shape::ManyRanges => format!("INSERT INTO {table} (key, value) VALUES ({key}, {value})"),
            Shape::SecondaryIndex => {
                format!("INSERT INTO {table} (id, key, value) VALUES ({}, {key}, {value})", self.first_column(key))
            }
        }
    }

    /// Inserts, or sets an existing row's value to `value`.
    pub fn upsert(&self, key: u64, value: &str) -> String {
        format!("{} ON CONFLICT (key) DO UPDATE SET value = excluded.value", self.insert(key, value))
    }

    pub fn select(&self, key: u64) -> String {
        format!("SELECT value FROM {} WHERE key = {key}", self.table)
    }

    pub fn select_all(&self) -> String {
        format!("SELECT key, value FROM {}", self.table)
    }

    /// What the table is ordered by: with a secondary index, not in the order of the keys.
    fn first_column(&self, key: u64) -> u64 {
        match self.shape {
            Shape::OneRange | Shape::ManyRanges => key,
            Shape::SecondaryIndex => self.keys - key,
        }
    }
}

/// Scatters numbers over `0..keys` (a power of two), each to a place of its own: what is written one after the other lies
/// in different ranges.
pub fn scatter(number: u64, keys: u64) -> u64 {
    debug_assert!(keys.is_power_of_two());
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15 | 1) & (keys - 1)
}
