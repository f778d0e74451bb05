//! Sample data: a small shop, the same every time.

use std::fmt::Write;

use base::Rng;

const CUSTOMERS: u64 = 40;
const ORDERS: u64 = 200;

const SCHEMA: &str = "
CREATE TABLE customers (
    id int PRIMARY KEY,
    name text NOT NULL,
    city text NOT NULL,
    email varchar(80) UNIQUE
);
CREATE TABLE products (
    id int PRIMARY KEY,
    name text NOT NULL UNIQUE,
    price numeric(10,2) NOT NULL CHECK (price > 0)
);
CREATE TABLE orders (
    id int PRIMARY KEY,
    customer_id int NOT NULL REFERENCES customers (id),
    ordered_on date NOT NULL
);
CREATE INDEX orders_customer ON orders (customer_id);
CREATE TABLE order_items (
    order_id int NOT NULL REFERENCES orders (id),
    line int NOT NULL,
    product_id int NOT NULL REFERENCES products (id),
    quantity int NOT NULL,
    price numeric(10,2) NOT NULL,
    PRIMARY KEY (order_id, line)
);
";

const FIRST_NAMES: &[&str] = &["Ada", "Grace", "Alan", "Edgar", "Barbara", "Leslie", "Jim", "Lynn", "Tony", "Radia"];
const LAST_NAMES: &[&str] = &["Hopper", "Codd", "Gray", "Lamport"];
const CITIES: &[&str] = &["Lisbon", "Oslo", "Graz", "Ghent", "Turku"];
const PRODUCTS: &[(&str, u64)] = &[
    ("Pencil", 120),
    ("Notebook", 450),
    ("Lamp", 3900),
    ("Desk", 24900),
    ("Chair", 12900),
    ("Bookshelf", 8900),
    ("Clock", 2900),
    ("Globe", 5900),
    ("Ruler", 250),
    ("Compass", 990),
    ("Atlas", 3490),
    ("Telescope", 19900),
];

/// Creates and fills the tables, all or nothing.
pub fn script() -> String {
    format!("BEGIN;{SCHEMA}{}COMMIT;", rows())
}

fn rows() -> String {
    let mut rng = Rng::new(1);
    let customers: Vec<String> = (1..=CUSTOMERS)
        .map(|id| {
            let (first, last) = names(id);
            let city = CITIES[id as usize % CITIES.len()];
            let email = format!("{}.{}.{id}@example.com", first.to_lowercase(), last.to_lowercase());
            format!("({id}, '{first} {last}', '{city}', '{email}')")
        })
        .collect();
    let products: Vec<String> =
        (1..).zip(PRODUCTS).map(|(id, (name, cents))| format!("({id}, '{name}', {})", money(*cents))).collect();
    let (mut orders, mut items) = (Vec::new(), Vec::new());
    for id in 1..=ORDERS {
        let customer = 1 + rng.below(CUSTOMERS);
        orders.push(format!("({id}, {customer}, '2026-{:02}-{:02}')", 1 + id * 12 / (ORDERS + 1), 1 + rng.below(28)));
        for line in 1..=rng.between(1, 4) {
            let product = rng.below(PRODUCTS.len() as u64);
            let (quantity, cents) = (rng.between(1, 5), PRODUCTS[product as usize].1);
            items.push(format!("({id}, {line}, {}, {quantity}, {})", product + 1, money(cents)));
        }
    }
    let mut text = String::new();
    for (table, rows) in [("customers", customers), ("products", products), ("orders", orders), ("order_items", items)]
    {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "INSERT INTO {table} VALUES {};", rows.join(", "));
    }
    text
}

fn names(id: u64) -> (&'static str, &'static str) {
    let id = id as usize - 1;
    (FIRST_NAMES[id % FIRST_NAMES.len()], LAST_NAMES[id / FIRST_NAMES.len() % LAST_NAMES.len()])
}

fn money(cents: u64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}
