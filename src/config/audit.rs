//! The section `audit`: which calls are told, and where.

use super::defaults;
use super::resolve::size;
use super::section::Section;
use crate::proxy::audit::{Calls, Config};
use crate::telemetry::access::{self, Target};

pub(super) fn read(root: &mut Section, errors: &mut Vec<String>) -> Config {
    let mut audit = root.section("audit", errors);
    let calls = audit.text("calls", errors);
    let calls = match calls.as_deref() {
        Some("all") => Calls::All,
        // What `off` becomes on its way through tools that speak YAML 1.1.
        None | Some("off" | "false") => Calls::Off,
        Some("writes") => Calls::Writes,
        Some(other) => {
            errors.push(format!("audit.calls: expected off, writes or all, found {other:?}"));
            Calls::Off
        }
    };
    let target = match audit.text("file", errors).as_deref() {
        // Logs are on standard error.
        None | Some("-") => Target::StandardOutput,
        Some("") => {
            errors.push("audit.file: expected a path or \"-\", found nothing".to_owned());
            Target::StandardOutput
        }
        Some(path) => Target::File(path.into()),
    };
    let config = Config {
        calls,
        keys_max: audit.count("max-keys", MAX_KEYS, errors).unwrap_or(defaults::AUDIT_KEYS),
        key_bytes_max: size(&mut audit, "max-key-bytes", defaults::AUDIT_KEY_BYTES as u64, errors),
        request_bytes_max: size(&mut audit, "request-bytes", defaults::AUDIT_REQUESTS, errors),
        tokens_max: audit.count("max-tokens", MAX_TOKENS, errors).unwrap_or(defaults::AUDIT_TOKENS),
        sink: access::Config {
            target,
            buffer_bytes: size(&mut audit, "buffer-bytes", defaults::AUDIT_BUFFER, errors),
        },
    };
    audit.finish(errors);
    config
}

/// etcd refuses transactions of more than 128 operations by default.
const MAX_KEYS: usize = 4096;

/// Some 100 MB.
const MAX_TOKENS: usize = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::yaml;

    fn of(text: &str) -> Result<Config, Vec<String>> {
        let mut errors = Vec::new();
        let root = yaml::parse(&format!("audit: {text}")).unwrap();
        let config = read(&mut Section::root(root, &mut errors), &mut errors);
        if errors.is_empty() { Ok(config) } else { Err(errors) }
    }

    #[test]
    fn every_key_is_read() {
        let config = of(
            "{calls: writes, file: /a/b, max-keys: 7, max-key-bytes: 64, max-tokens: 9, request-bytes: 2MiB, \
             buffer-bytes: 1MiB}",
        );
        let expected = Config {
            calls: Calls::Writes,
            keys_max: 7,
            key_bytes_max: 64,
            request_bytes_max: 2 << 20,
            tokens_max: 9,
            sink: access::Config { target: Target::File("/a/b".into()), buffer_bytes: 1 << 20 },
        };
        assert_eq!(config, Ok(expected));
        let config = of("{calls: all, file: '-'}").unwrap();
        assert_eq!((config.calls, config.sink.target), (Calls::All, Target::StandardOutput));
        for off in ["{}", "{calls: off}", "{calls: false}"] {
            assert_eq!(of(off).unwrap().calls, Calls::Off, "{off}");
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        assert_eq!(
            of("{calls: some, file: '', max-keys: 0, colour: red}").unwrap_err(),
            [
                "audit.calls: expected off, writes or all, found \"some\"",
                "audit.file: expected a path or \"-\", found nothing",
                "audit.max-keys: expected a whole number from 1 to 4096, found \"0\"",
                "audit.colour: unknown key",
            ]
        );
    }
}
