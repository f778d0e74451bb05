use std::{os::unix::fs::PermissionsExt, path::Path};

use base::NodeId;
use storage::shell::Transport;
use tempfile::TempDir;

use super::*;

const YEAR: Duration = CERTIFICATE_LIFE;

fn directory() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn peer(id: u64) -> Purpose {
    Purpose::Peer(Holder::Node(NodeId(id)))
}

fn text(directory: &Path, name: &str) -> String {
    fs::read_to_string(directory.join(name)).unwrap()
}

#[test]
fn secrets_are_made_once_and_kept_private() {
    let directory = directory();
    let first = Secrets::open(directory.path()).unwrap();
    first.tls(&["10.1.2.3".parse().unwrap()]).unwrap();
    let names = ["cluster.key", "ca.crt", "ca.key", "gateway.crt", "gateway.key"];
    let read = |name: &str| fs::read(directory.path().join(name)).unwrap();
    let before = names.map(read);
    let second = Secrets::open(directory.path()).unwrap();
    second.tls(&[]).unwrap();
    assert_eq!(before, names.map(read));
    assert_eq!(first.key().derive("x"), second.key().derive("x"));
    for name in ["cluster.key", "ca.key", "gateway.key", "ledger.json"] {
        let mode = fs::metadata(directory.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert_eq!(
        fs::read_dir(directory.path()).unwrap().count(),
        7,
        "with the lock and the ledger; nothing unfinished is left"
    );
}

#[test]
fn a_holder_is_what_its_name_says() {
    for holder in [Holder::Node(NodeId(3)), Holder::Gateway] {
        assert_eq!(holder.to_string().parse(), Ok(holder));
    }
    assert!("node-x".parse::<Holder>().is_err() && "web".parse::<Holder>().is_err());
}

#[test]
fn certificates_are_made_where_the_authority_is_and_brought_elsewhere() {
    let (home, away) = (directory(), directory());
    let holder = Holder::Node(NodeId(3));
    transport(Some(home.path()), false, Holder::Gateway).unwrap();
    let authority = Authority::existing(home.path()).unwrap();
    authority.make(away.path(), &peer(3), YEAR).unwrap();
    authority.publish(away.path()).unwrap();
    drop(authority);
    transport(Some(away.path()), false, holder).unwrap();
    let missing = transport(Some(away.path()), false, Holder::Node(NodeId(4))).err().unwrap();
    assert!(missing.to_string().contains("locus cert"), "{missing}");
    assert!(!away.path().join("ca.key").exists() && !away.path().join("cluster.key").exists());
    assert!(Secrets::open(away.path()).is_err(), "another cluster key would be of no use");
    assert!(transport(None, false, holder).is_err());
    assert!(matches!(transport(None, true, holder), Ok(Transport::Plain)));
}

#[test]
fn names_of_processes_are_not_for_clients() {
    let bad = Purpose::Clients(vec!["node-1.locus.internal".to_owned()]);
    assert!(bad.params().is_err());
    assert!(Purpose::Clients(vec!["NODE-1.Locus.Internal.".to_owned()]).params().is_err());
    assert!(Purpose::Clients(vec!["db.example.com".to_owned(), "10.0.0.1".to_owned()]).params().is_ok());
}

#[test]
fn what_ends_soon_is_made_anew_with_the_same_names() {
    let home = directory();
    let purpose = Purpose::Clients(vec!["db.example.com".to_owned(), "10.0.0.1".to_owned(), "::1".to_owned()]);
    let authority = Authority::open(home.path()).unwrap().unwrap();
    authority.make(home.path(), &purpose, DAY * 10).unwrap();
    drop(authority);
    assert!(is_there(home.path(), &purpose) && !lasts(home.path(), &purpose));
    assert_eq!(purposes(home.path()).unwrap(), std::slice::from_ref(&purpose));
    let before = text(home.path(), "gateway.crt");
    ensure(home.path(), &purpose).unwrap();
    assert!(lasts(home.path(), &purpose));
    let states = Authority::existing(home.path()).unwrap().ledger().unwrap().issued;
    assert_eq!(states.iter().map(|issued| issued.state).collect::<Vec<_>>(), [State::Replaced, State::Current]);
    assert_ne!(text(home.path(), "gateway.crt"), before);
}

#[test]
fn a_token_is_good_once_for_its_holder_and_in_its_time() {
    let home = directory();
    let authority = Authority::open(home.path()).unwrap().unwrap();
    let ledger = || authority.ledger().unwrap();
    let soon = now().as_secs() + 60;
    ledger().add_token("1".into(), "word-that-opens", "node-4", soon).unwrap();
    ledger().add_token("2".into(), "word-that-opens", "node-4", now().as_secs()).unwrap();
    assert!(!text(home.path(), "ledger.json").contains("word-that-opens"), "the secret is not kept");
    for (id, secret, holder) in [
        ("1", "other", "node-4"),
        ("1", "word-that-opens", "node-5"),
        ("3", "word-that-opens", "node-4"),
        ("2", "word-that-opens", "node-4"),
    ] {
        assert!(!ledger().redeem(id, secret, holder).unwrap(), "{id} {secret} {holder}");
    }
    assert!(ledger().redeem("1", "word-that-opens", "node-4").unwrap());
    assert!(!ledger().redeem("1", "word-that-opens", "node-4").unwrap(), "once");
    ledger().add_token("4".into(), "word-that-opens", "node-4", soon).unwrap();
    ledger().revoke("node-4").unwrap();
    assert!(
        !ledger().redeem("4", "word-that-opens", "node-4").unwrap(),
        "who is shut out does not come back with an old token"
    );
}

#[test]
fn revoked_certificates_are_published() {
    let home = directory();
    let authority = Authority::open(home.path()).unwrap().unwrap();
    for id in [1, 2, 1] {
        authority.make(home.path(), &peer(id), YEAR).unwrap();
    }
    assert_eq!(authority.ledger().unwrap().revoke("node-1").unwrap(), 2, "what was replaced is revoked as well");
    assert_eq!(authority.ledger().unwrap().revoke("node-1").unwrap(), 0);
    let published = revoked(home.path()).unwrap();
    let current = fingerprint_of(&text(home.path(), "node-1.crt")).unwrap();
    assert!(published.lines().count() == 2 && published.contains(&current), "{published}");
    assert!(!published.contains(&fingerprint_of(&text(home.path(), "node-2.crt")).unwrap()));
}

#[test]
fn an_authority_takes_the_place_of_another() {
    let home = directory();
    let authority = Authority::open(home.path()).unwrap().unwrap();
    authority.make(home.path(), &peer(1), YEAR).unwrap();
    let (before, first) = (authority.certificate().unwrap(), text(home.path(), "node-1.crt"));
    assert!(authority.retire().is_err(), "the only one");
    authority.announce_next().unwrap();
    let both = text(home.path(), "ca.crt");
    assert_eq!(certificates(&both).len(), 2);
    authority.announce_next().unwrap();
    assert_eq!(text(home.path(), "ca.crt"), both, "begun again, it goes on");
    assert!(authority.retire().is_err(), "the old one signs still");
    assert_eq!(authority.certificate().unwrap(), before);
    let authority = authority.promote_next().unwrap();
    assert_ne!(authority.certificate().unwrap(), before);
    assert_eq!(authority.rotate().unwrap(), ["node-1"]);
    assert_ne!(text(home.path(), "node-1.crt"), first);
    drop(authority);
    transport(Some(home.path()), false, Holder::Gateway).unwrap();
    let authority = Authority::existing(home.path()).unwrap();
    authority.retire().unwrap();
    assert_eq!(text(home.path(), "ca.crt"), authority.certificate().unwrap());
}

#[test]
fn a_damaged_key_is_refused_and_not_replaced() {
    let directory = directory();
    fs::write(directory.path().join("cluster.key"), b"short").unwrap();
    assert!(Secrets::open(directory.path()).is_err());
    assert_eq!(fs::read(directory.path().join("cluster.key")).unwrap(), b"short");
    assert!(Secrets::existing(&directory.path().join("nowhere")).is_err());
}
