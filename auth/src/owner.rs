//! Break-glass: whoever can read the cluster's key in the data directory owns the machine's account that runs the cluster, and
//! may sign in as the role that owns the system. The pass is made from the key and the time, is good for a minute, and its use
//! is audited.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use ring::hmac;

use crate::seal::ClusterKey;

const PREFIX: &str = "owner_";
const LIFE_SECONDS: u64 = 60;

/// What to give as the password.
pub fn pass(key: &ClusterKey, role: &str, unix_seconds: u64) -> String {
    let tag = hmac::sign(&mac_key(key), &message(role, unix_seconds));
    format!("{PREFIX}{unix_seconds}_{}", BASE64.encode(tag.as_ref()))
}

/// Whether the password is a pass for this role, made within the last minute (or by a clock that is ahead by less).
pub fn check(key: &ClusterKey, role: &str, password: &str, unix_seconds: u64) -> bool {
    let parsed = password.strip_prefix(PREFIX).and_then(|rest| rest.split_once('_'));
    let Some((seconds, tag)) = parsed.and_then(|(seconds, tag)| Some((seconds.parse::<u64>().ok()?, tag))) else {
        return false;
    };
    let Ok(tag) = BASE64.decode(tag) else { return false };
    seconds.abs_diff(unix_seconds) <= LIFE_SECONDS && hmac::verify(&mac_key(key), &message(role, seconds), &tag).is_ok()
}

fn mac_key(key: &ClusterKey) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, &key.derive("owner"))
}

fn message(role: &str, unix_seconds: u64) -> Vec<u8> {
    [&unix_seconds.to_be_bytes()[..], role.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_is_good_for_its_role_and_minute() {
        let key = ClusterKey::new([1; 32]);
        let pass = pass(&key, "locus", 1000);
        assert!(
            check(&key, "locus", &pass, 1000) && check(&key, "locus", &pass, 1060) && check(&key, "locus", &pass, 940)
        );
        assert!(!check(&key, "locus", &pass, 1061));
        assert!(!check(&key, "clerk", &pass, 1000));
        assert!(!check(&ClusterKey::new([2; 32]), "locus", &pass, 1000));
        assert!(!check(&key, "locus", &pass.replace("1000", "1001"), 1000));
        assert!(!check(&key, "locus", "owner_1000_", 1000) && !check(&key, "locus", "", 1000));
    }
}
