//! psql, as a person uses it.

use crate::common::{psql, shared};

fn run(script: &str) -> String {
    let output = psql(&shared().url, &["-v", "ON_ERROR_STOP=1"], script);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{script}\n{out}\n{err}");
    assert!(!err.contains("ERROR"), "{script}\n{err}");
    out.into_owned()
}

#[test]
fn create_insert_select() {
    let out = run("CREATE TABLE psql_t (id serial PRIMARY KEY, name text DEFAULT 'nobody');
         INSERT INTO psql_t (name) VALUES ('a'), ('b') RETURNING id;
         SELECT count(*) AS how_many FROM psql_t;");
    assert!(out.contains("CREATE TABLE"), "{out}");
    assert!(out.contains("INSERT 0 2"), "{out}");
    assert!(out.contains("how_many"), "{out}");
}

#[test]
fn describe_commands() {
    run("CREATE TABLE psql_d (id int PRIMARY KEY, code varchar(5) NOT NULL UNIQUE, n numeric(6,2) CHECK (n > 0));
         CREATE INDEX psql_d_n ON psql_d (n);
         CREATE TABLE psql_e (d_id int REFERENCES psql_d (id));");
    let table = run("\\d psql_d");
    for part in ["integer", "character varying(5)", "numeric(6,2)", "psql_d_pkey", "psql_d_n", "not null"] {
        assert!(table.contains(part), "{part} in\n{table}");
    }
    assert!(run("\\d psql_e").contains("REFERENCES psql_d(id)"));
    assert!(run("\\d").contains("psql_d"));
    assert!(run("\\dt").contains("psql_e"));
    assert!(run("\\di").contains("psql_d_n"));
    assert!(run("\\l").contains("locus"));
    assert!(run("\\dn").contains("public"));
    assert!(run("\\du").contains("Role name"));
}

#[test]
fn errors_show_their_position() {
    let output = psql(&shared().url, &[], "SELECT nothing FROM nowhere;");
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(err.contains("relation \"nowhere\" does not exist"), "{err}");
    assert!(err.contains("LINE 1:") && err.contains('^'), "{err}");
}

#[test]
fn copy_by_psql() {
    let out = run(
        "CREATE TABLE psql_copy (id int, note text);
         COPY psql_copy FROM STDIN WITH (FORMAT csv);\n1,one\n2,\"two, and more\"\n\\.\nSELECT note FROM psql_copy WHERE id = 2;\n\
         COPY psql_copy TO STDOUT;",
    );
    assert!(out.contains("two, and more"), "{out}");
    assert!(out.contains("1\tone"), "{out}");
}
