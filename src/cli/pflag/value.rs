//! What may stand behind a flag, and what Go says when it does not.

use super::{Flag, Kind, duration};

pub(super) fn check(flag: &Flag, text: &str) -> Result<(), String> {
    let outcome = match flag.kind {
        Kind::Bool => parse_bool(text).map(drop).ok_or(number_error("ParseBool", text, "invalid syntax")),
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
        Kind::Int | Kind::Strings | Kind::Text | Kind::Uint | Kind::Uint32 => text.to_owned(),
    }
}

fn number(text: &str, function: &str, min: i128, max: i128) -> Result<(), String> {
    let digits = text.strip_prefix(['+', '-']).filter(|_| min < 0).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(number_error(function, text, "invalid syntax"));
    }
    match text.parse::<i128>() {
        Ok(number) if (min..=max).contains(&number) => Ok(()),
        _ => Err(number_error(function, text, "value out of range")),
    }
}

fn number_error(function: &str, text: &str, what: &str) -> String {
    format!("strconv.{function}: parsing {text:?}: {what}")
}
