//! The file, and what it is made of.

use super::engine::Target;
use crate::config::{Overrides, parse};
use crate::net::address::Address;
use crate::net::listen_url::ListenUrl;

#[test]
fn a_file_is_taken_or_refused_with_reasons() {
    let target = Target {
        name: "config",
        words: &[
            b"listen: ",
            b"upstream: ",
            b"- ",
            b"{",
            b"}",
            b"url: ",
            b"https://",
            b"unix:///",
            b": 18446744073709551616\n",
            b"&a ",
            b"*a",
            b"\n  ",
        ],
    };
    target.run(|input| {
        let text = String::from_utf8_lossy(input);
        if let Ok(address) = text.trim().parse::<Address>() {
            assert_eq!(address.to_string().parse(), Ok(address));
        }
        if let Ok(url) = text.trim().parse::<ListenUrl>() {
            assert_eq!(url.to_string().parse(), Ok(url));
        }
        match parse("", &text, &Overrides::default()) {
            Ok(config) => (config.listen.listeners.len(), Vec::new()),
            Err(errors) => {
                assert!(!errors.0.is_empty() && errors.0.iter().all(|error| !error.is_empty()));
                // The kinds of errors, whatever they quote.
                let kinds = errors
                    .0
                    .iter()
                    .map(|error| error.chars().filter(|c| c.is_alphabetic()).take(24).collect::<String>());
                (usize::MAX, kinds.collect())
            }
        }
    });
}
