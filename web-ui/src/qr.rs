//! QR codes as one SVG path.

use qrcodegen::{QrCode, QrCodeEcc};

/// Side length in modules, with the quiet zone of four that the standard asks for, and the path of the dark ones.
pub fn path(text: &str) -> Option<(i32, String)> {
    const QUIET: i32 = 4;
    let code = QrCode::encode_text(text, QrCodeEcc::Medium).ok()?;
    let mut path = String::new();
    for y in 0..code.size() {
        for x in 0..code.size() {
            if code.get_module(x, y) {
                path += &format!("M{} {}h1v1h-1z", x + QUIET, y + QUIET);
            }
        }
    }
    Some((code.size() + 2 * QUIET, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_finder_patterns_are_where_they_belong() {
        let (size, path) = path("otpauth://totp/Locus:clerk?secret=JBSWY3DPEHPK3PXP&issuer=Locus").unwrap();
        assert_eq!((size - 8 - 17) % 4, 0, "a version of the standard");
        // Dark corners of three finders, and none in the fourth corner's place.
        for (x, y) in [(4, 4), (size - 5, 4), (4, size - 5)] {
            assert!(path.contains(&format!("M{x} {y}h")), "{x} {y}");
        }
        // The light ring within the first one.
        assert!(!path.contains("M5 5h"));
    }

    #[test]
    fn too_much_is_no_code() {
        assert!(path_of_length(3000).is_none());
    }

    fn path_of_length(length: usize) -> Option<(i32, String)> {
        path(&"é".repeat(length))
    }
}
