use super::*;

#[test]
fn a_token_is_what_was_written_down() {
    let token = Token::random("ab".repeat(32));
    assert_eq!(token.to_string().parse::<Token>(), Ok(token.clone()));
    assert_eq!(format!(" {token}\n").parse::<Token>(), Ok(token.clone()), "as it is copied from a terminal");
    assert_ne!(Token::random("ab".repeat(32)).secret, token.secret);
    assert!(!format!("{token:?}").contains(&token.secret), "logs do not show the secret");
}

#[test]
fn what_is_no_token_is_refused() {
    let good = Token::random("ab".repeat(32)).to_string();
    let bad = [
        "",
        "K1",
        "K1...",
        &good.replace("K1", "K2"),
        &good[..good.len() - 1],
        &format!("{good}.x"),
        &good.replace("ab", "xy"),
    ];
    for text in bad {
        assert!(text.parse::<Token>().is_err(), "{text}");
    }
}
