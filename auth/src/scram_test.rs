use super::*;

/// The example of RFC 7677, section 3.
const CLIENT_FIRST: &str = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
const SERVER_NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
const SERVER_FIRST: &str = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
const CLIENT_LAST: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                           p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
const SERVER_LAST: &str = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

fn example(end_point: Option<&[u8]>) -> Scram {
    let salt = BASE64.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
    let verifier = Some(Verifier::Scram(ScramVerifier::derive_with("pencil", salt, 4096)));
    let stored = Stored { verifier, ..Stored::default() };
    let mut scram = Scram::new(stored, "user", b"secret", [0; NONCE_BYTES], end_point.map(<[u8]>::to_vec));
    scram.nonce = SERVER_NONCE.into();
    scram.exchange(Input::Start);
    scram
}

fn first(scram: &mut Scram, mechanism: &str, text: &str) -> Step {
    scram.exchange(Input::SaslFirst { mechanism, data: text.as_bytes() })
}

#[test]
fn the_example_of_rfc_7677() {
    let mut scram = example(None);
    let challenge = Challenge::SaslContinue(Bytes::from_static(SERVER_FIRST.as_bytes()));
    assert_eq!(first(&mut scram, PLAIN, CLIENT_FIRST), Step::Continue(challenge));
    let Step::Success(proof) = scram.exchange(Input::Sasl(CLIENT_LAST.as_bytes())) else { panic!("refused") };
    assert_eq!(proof.last_words.unwrap(), SERVER_LAST);
    assert_eq!(proof.factors, Factors::PASSWORD);
}

#[test]
fn a_wrong_proof_nonce_or_header_is_refused() {
    for (from, to, reason) in [
        ("p=dHzb", "p=eHzb", Reason::WrongPassword),
        ("c=biws", "c=eSws", Reason::Malformed),
        ("$k0,", "$k1,", Reason::Malformed),
        (",p=", ",q=", Reason::Malformed),
        ("AndVQ=", "AndVQ", Reason::Malformed),
    ] {
        let mut scram = example(None);
        first(&mut scram, PLAIN, CLIENT_FIRST);
        let changed = CLIENT_LAST.replace(from, to);
        assert_eq!(scram.exchange(Input::Sasl(changed.as_bytes())), Step::Failure(reason), "{changed}");
        // It is over, even with the right one.
        assert_eq!(scram.exchange(Input::Sasl(CLIENT_LAST.as_bytes())), Step::Failure(Reason::Malformed));
    }
}

#[test]
fn first_messages_that_are_refused() {
    for (mechanism, text, end_point) in [
        (PLAIN, "", None),
        (PLAIN, "n,,n=user", None),
        (PLAIN, "n,a=other,n=user,r=abc", None),
        (PLAIN, "n,,m=ext,n=user,r=abc", None),
        (PLAIN, "n,,n=user,r=", None),
        (PLAIN, "n,,n=user,r=a b", None),
        (PLAIN, "p=tls-unique,,n=user,r=abc", None),
        (PLUS, "p=tls-server-end-point,,n=user,r=abc", None),
        (PLUS, "n,,n=user,r=abc", Some(&b"hash"[..])),
        ("SCRAM-SHA-1", "n,,n=user,r=abc", None),
        // A downgrade: the client can bind, we offered it, and it did not hear of it.
        (PLAIN, "y,,n=user,r=abc", Some(&b"hash"[..])),
    ] {
        let mut scram = example(end_point);
        assert_eq!(first(&mut scram, mechanism, text), Step::Failure(Reason::Malformed), "{text}");
    }
}

/// What a client computes.
fn client_last(header: &str, bound: &[u8], server_first: &str, password: &str) -> String {
    let field = |name: &str| server_first.split(',').find_map(|part| part.strip_prefix(name)).unwrap();
    let salt = BASE64.decode(field("s=")).unwrap();
    let salted = salted_password(password, &salt, field("i=").parse().unwrap());
    let without = format!("c={},r={}", BASE64.encode([header.as_bytes(), bound].concat()), field("r="));
    let client_key = mac(&salted, b"Client Key");
    let stored = digest::digest(&digest::SHA256, &client_key);
    let signature = mac(stored.as_ref(), format!("n=,r=abc,{server_first},{without}").as_bytes());
    let proof: Vec<u8> = client_key.iter().zip(signature).map(|(key, signature)| key ^ signature).collect();
    format!("{without},p={}", BASE64.encode(proof))
}

#[test]
fn the_channel_is_bound() {
    let header = "p=tls-server-end-point,,";
    for (bound, succeeds) in [(&b"our certificate"[..], true), (b"another certificate", false)] {
        let mut scram = example(Some(b"our certificate"));
        let Step::Continue(Challenge::SaslContinue(challenge)) = first(&mut scram, PLUS, &format!("{header}n=,r=abc"))
        else {
            panic!("refused")
        };
        let answer = client_last(header, bound, std::str::from_utf8(&challenge).unwrap(), "pencil");
        let step = scram.exchange(Input::Sasl(answer.as_bytes()));
        assert_eq!(matches!(step, Step::Success(_)), succeeds, "{step:?}");
    }
}

#[test]
fn an_unknown_role_looks_like_a_known_one() {
    let ask = |secret: &[u8]| {
        let mut scram = Scram::new(Stored::default(), "nobody", secret, [1; NONCE_BYTES], None);
        scram.exchange(Input::Start);
        let Step::Continue(Challenge::SaslContinue(challenge)) = first(&mut scram, PLAIN, "n,,n=,r=abc") else {
            panic!("refused at once")
        };
        (scram, String::from_utf8(challenge.to_vec()).unwrap())
    };
    let (mut scram, challenge) = ask(b"secret");
    assert_eq!(challenge, ask(b"secret").1, "the same salt each time");
    assert_ne!(challenge, ask(b"other").1);
    let answer = client_last("n,,", b"", &challenge, "pencil");
    assert_eq!(scram.exchange(Input::Sasl(answer.as_bytes())), Step::Failure(Reason::NoPassword));
}
