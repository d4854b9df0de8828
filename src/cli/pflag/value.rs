//! What may stand behind a flag, and what Go says when it does not.

use super::{Flag, Kind, duration};

pub(super) fn check(flag: &Flag, text: &str) -> Result<(), String> {
    let outcome = match flag.kind {
        Kind::Bool => parse_bool(text).map(drop).ok_or(number_error("ParseBool", text, SYNTAX)),
        Kind::Duration => duration::parse(text).map(drop),
        Kind::Int => number(text, "ParseInt", i64::MIN.into(), i64::MAX.into()),
        // A larger one could not be a number of anything here.
        Kind::Uint => number(text, "ParseUint", 0, i64::MAX.into()),
        Kind::Uint32 => number(text, "ParseUint", 0, u32::MAX.into()),
        Kind::Strings | Kind::Text => Ok(()),
    };
    outcome.map_err(|error| format!("invalid argument {text:?} for \"--{}\" flag: {error}", flag.name))
}

/// Every spelling that Go knows.
pub(super) fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

/// The one spelling that defaults are written in.
pub(super) fn plain(kind: Kind, text: &str) -> String {
    match kind {
        Kind::Bool => parse_bool(text).map_or_else(|| text.to_owned(), |value| value.to_string()),
        Kind::Duration => duration::parse(text).map_or_else(|_| text.to_owned(), duration::print),
        Kind::Int | Kind::Uint | Kind::Uint32 => {
            parse_number(text).map_or_else(|_| text.to_owned(), |number| number.to_string())
        }
        Kind::Strings | Kind::Text => text.to_owned(),
    }
}

fn number(text: &str, function: &str, min: i128, max: i128) -> Result<(), String> {
    let outcome = match parse_number(text) {
        Ok(_) if min >= 0 && text.starts_with(['+', '-']) => Err(SYNTAX),
        Ok(number) if !(min..=max).contains(&number) => Err(RANGE),
        outcome => outcome.map(drop),
    };
    outcome.map_err(|what| number_error(function, text, what))
}

/// As Go's `strconv` does where no base is given: `0x3c`, `0b111100`, `0o74`, `074` and `6_0` are one number.
pub(super) fn parse_number(text: &str) -> Result<i128, &'static str> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (base, digits) = match unsigned.as_bytes() {
        [b'0', b'b' | b'B', _, ..] => (2, &unsigned[2..]),
        [b'0', b'o' | b'O', _, ..] => (8, &unsigned[2..]),
        [b'0', b'x' | b'X', _, ..] => (16, &unsigned[2..]),
        [b'0', ..] => (8, &unsigned[1..]),
        _ => (10, unsigned),
    };
    let mut number = 0;
    // Underscores stand between digits, of which what tells the base is one.
    let mut behind_digit = digits.len() < unsigned.len();
    for character in digits.chars() {
        match character.to_digit(base) {
            Some(digit) => number = number * i128::from(base) + i128::from(digit),
            None if character == '_' && behind_digit => {}
            None => return Err(SYNTAX),
        }
        if number > u64::MAX.into() {
            return Err(RANGE);
        }
        behind_digit = character != '_';
    }
    match behind_digit {
        true => Ok(if text.starts_with('-') { -number } else { number }),
        false => Err(SYNTAX),
    }
}

fn number_error(function: &str, text: &str, what: &str) -> String {
    format!("strconv.{function}: parsing {text:?}: {what}")
}

const SYNTAX: &str = "invalid syntax";
const RANGE: &str = "value out of range";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_go_reads_them() {
        for (text, expected) in [
            ("60", Ok(60)),
            ("+60", Ok(60)),
            ("-60", Ok(-60)),
            ("0", Ok(0)),
            ("00", Ok(0)),
            ("0x3C", Ok(60)),
            ("-0X3c", Ok(-60)),
            ("0b111100", Ok(60)),
            ("0o74", Ok(60)),
            ("074", Ok(60)),
            ("0_74", Ok(60)),
            ("0x_3c", Ok(60)),
            ("6_0", Ok(60)),
            ("18446744073709551615", Ok(u64::MAX.into())),
            ("18446744073709551616", Err(RANGE)),
            ("18446744073709551616x", Err(RANGE)),
            ("", Err(SYNTAX)),
            ("-", Err(SYNTAX)),
            ("--6", Err(SYNTAX)),
            ("08", Err(SYNTAX)),
            ("0x", Err(SYNTAX)),
            ("0b12", Err(SYNTAX)),
            ("_60", Err(SYNTAX)),
            ("60_", Err(SYNTAX)),
            ("6__0", Err(SYNTAX)),
            ("6 0", Err(SYNTAX)),
            ("0é", Err(SYNTAX)),
        ] {
            assert_eq!(parse_number(text), expected, "{text:?}");
        }
    }
}
