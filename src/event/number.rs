//! The numbers that events carry, as numbers or as texts.

/// Millionths of a whole.
const UNIT: i64 = 1_000_000;

/// The number that a text is, with blanks around it or none; none if it is no number, or not a finite one.
#[must_use]
pub fn number(text: &str) -> Option<f64> {
    text.trim().parse::<f64>().ok().filter(|number| number.is_finite())
}

/// The same number as whole millionths, digits after the sixth rounded; none if it is no number, or one beyond
/// ±9,223,372,036,854, of which the millionths have no room.
#[must_use]
#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "only where it fits")]
pub fn millionths(text: &str) -> Option<i64> {
    if let Ok(whole) = text.trim().parse::<i64>() {
        return whole.checked_mul(UNIT);
    }
    let millionths = (number(text)? * UNIT as f64).round();
    (millionths.abs() < i64::MAX as f64).then_some(millionths as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_one_wherever_it_is_read() {
        for text in ["5", " 5", "5\n", "5.0", "+5", "5e0"] {
            assert_eq!((number(text), millionths(text)), (Some(5.0), Some(5_000_000)), "{text:?}");
        }
        for text in ["", " ", "inf", "-Infinity", "NaN", "1e999", "abc", "5 5", "0x5"] {
            assert_eq!((number(text), millionths(text)), (None, None), "{text:?}");
        }
    }

    #[test]
    fn what_has_no_room_is_not_cut() {
        let border = 9_223_372_036_854_000_000;
        for (text, expected) in [
            ("9223372036854", Some(border)),
            ("-9223372036854", Some(-border)),
            ("9223372036855", None),
            ("9.3e12", None),
            ("-1e13", None),
            ("99999999999999999999999", None),
            ("0.0000004", Some(0)),
            ("-0.0000005", Some(-1)),
        ] {
            assert_eq!(millionths(text), expected, "{text}");
        }
    }
}
