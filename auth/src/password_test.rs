use super::*;

const GOOD: &str = "violet kettle 77 sparrows";

fn stored(verifier: Option<Verifier>) -> Stored {
    Stored { verifier, ..Stored::default() }
}

fn ask(stored: Stored, password: &str) -> Step {
    let mut mechanism = Cleartext::new(stored);
    assert_eq!(mechanism.exchange(Input::Start), Step::Continue(Challenge::Password));
    mechanism.exchange(Input::Password(password.as_bytes()))
}

#[test]
fn a_verifier_knows_its_password_only() {
    for encryption in [Encryption::Argon2id, Encryption::ScramSha256] {
        let verifier = Verifier::make(encryption, GOOD, [7; 16]).unwrap();
        assert!(verifier.verify(GOOD));
        assert!(!verifier.verify("violet kettle 77 sparrow"));
        assert!(verifier.is_current());
        let text = verifier.to_string();
        assert_eq!(Verifier::parse(&text), Some(verifier), "{text}");
    }
}

#[test]
fn another_implementations_argon2_text_is_read() {
    // From the reference implementation: argon2 -id -v 13 -m 16 -t 2 -p 1 of "password" with the salt "somesalt".
    let text = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
    let verifier = Verifier::parse(text).unwrap();
    assert!(verifier.verify("password"));
    assert!(!verifier.is_current(), "made with other parameters");
}

#[test]
fn texts_that_ask_for_too_much_are_refused() {
    for text in [
        "",
        "$argon2id$v=19$m=4294967295,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
        "$argon2id$v=19$m=65536,t=4294967295,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
        "$argon2id$v=19$m=65536,t=2,p=1$c29t$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
        "$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
        "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFh$x",
        "$argon2id$",
        "SCRAM-SHA-256$0:c2FsdA==$x:y",
        "md5d41d8cd98f00b204e9800998ecf8427e",
    ] {
        assert_eq!(Verifier::parse(text), None, "{text}");
    }
}

#[test]
fn an_outdated_verifier_is_replaced_at_the_next_sign_in() {
    let text = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
    let Step::Success(proof) = ask(stored(Verifier::parse(text)), "password") else { panic!("refused") };
    let rehashed = Verifier::parse(&proof.rehashed.unwrap()).unwrap();
    assert!(rehashed.is_current() && rehashed.verify("password"));
}

#[test]
fn every_failure_is_one_failure() {
    let verifier = Verifier::make(Encryption::Argon2id, GOOD, [7; 16]);
    assert_eq!(ask(stored(None), GOOD), Step::Failure(Reason::NoPassword));
    assert_eq!(ask(stored(verifier.clone()), "violet"), Step::Failure(Reason::WrongPassword));
    assert_eq!(ask(stored(verifier.clone()), ""), Step::Failure(Reason::WrongPassword));
    let hopeless = Stored { hopeless: Some(Reason::Expired), ..stored(verifier) };
    assert_eq!(ask(hopeless, GOOD), Step::Failure(Reason::Expired));
}

#[test]
fn the_code_comes_with_the_password_or_before_it() {
    let second = SecondFactor {
        otp: Some((b"12345678901234567890".to_vec(), None)),
        unix_seconds: 59,
        ..SecondFactor::default()
    };
    let stored = Stored { verifier: Verifier::make(Encryption::Argon2id, GOOD, [7; 16]), second, ..Stored::default() };
    let factors = |step| match step {
        Step::Success(proof) => proof.factors.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(factors(ask(stored.clone(), &format!("{GOOD}287082"))), "password+otp");
    let early = Stored { code: Some("287082".into()), ..stored.clone() };
    assert_eq!(factors(ask(early, GOOD)), "password+otp");
    assert_eq!(ask(stored.clone(), &format!("{GOOD}287083")), Step::Failure(Reason::WrongCode));
    assert_eq!(ask(stored.clone(), GOOD), Step::Failure(Reason::CodeMissing));
    // A right code behind a wrong password does not tell that it was right.
    assert_eq!(ask(stored, "nonsense287082"), Step::Failure(Reason::WrongPassword));
}

#[test]
fn weak_passwords() {
    for (password, weak) in [
        ("short", Weak::Short),
        ("elevenchars", Weak::Short),
        ("passwordpassword", Weak::Common),
        ("PasswordPassword2026!", Weak::Common),
        ("aaaaaaaaaaaaaaaa", Weak::Common),
        ("abcdefghijklmnop", Weak::Common),
        ("123456789012345", Weak::Common),
        ("qwertyuiop1234", Weak::Common),
        ("correct horse battery staple", Weak::Common),
        ("bookkeeper12x", Weak::Name),
    ] {
        assert_eq!(check_strength(password, "bookkeeper"), Err(weak), "{password}");
    }
    assert_eq!(check_strength(&"é".repeat(600), "x"), Err(Weak::Long));
    for good in [GOOD, "jx7#Lq02mWvz", "größtenteils heiter"] {
        assert_eq!(check_strength(good, "clerk"), Ok(()), "{good}");
    }
}
