//! Colours of data. Series: Okabe and Ito's eight, which people with colour-blindness can tell apart. Amounts: viridis, which
//! grows in brightness and so survives both colour-blindness and grey printing.

/// Okabe–Ito without black and yellow, which vanish on one of the two backgrounds.
pub const SERIES: [&str; 6] = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00"];

/// Samples of matplotlib's viridis at equal distances.
const VIRIDIS: [(u8, u8, u8); 9] = [
    (68, 1, 84),
    (71, 44, 122),
    (59, 81, 139),
    (44, 113, 142),
    (33, 144, 141),
    (39, 173, 129),
    (92, 200, 99),
    (170, 220, 50),
    (253, 231, 37),
];

/// The colour of an amount between 0 and 1.
pub fn viridis(amount: f64) -> String {
    let steps = (VIRIDIS.len() - 1) as f64;
    let place = amount.clamp(0.0, 1.0) * steps;
    let below = (place.floor() as usize).min(VIRIDIS.len() - 2);
    let part = place - below as f64;
    let mix = |from: u8, to: u8| (f64::from(from) + (f64::from(to) - f64::from(from)) * part).round() as u8;
    let (from, to) = (VIRIDIS[below], VIRIDIS[below + 1]);
    format!("#{:02x}{:02x}{:02x}", mix(from.0, to.0), mix(from.1, to.1), mix(from.2, to.2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn viridis_from_end_to_end() {
        assert_eq!([viridis(0.0), viridis(1.0), viridis(0.5)], ["#440154", "#fde725", "#21908d"]);
        assert_eq!([viridis(-1.0), viridis(2.0)], [viridis(0.0), viridis(1.0)]);
    }
}
