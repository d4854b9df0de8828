//! A line: one object of JSON.
//!
//! A key stands as the text that it is, or, where it is not text that can be printed, in base64
//! under a name that says so: both can be read back to its very bytes.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::about::{About, Fact, Is, Key, Op};

pub(super) struct Line(String);

impl Line {
    pub fn new(now: SystemTime) -> Self {
        let mut line = Self(String::with_capacity(512));
        line.0.push('{');
        // It panics at what is before.
        line.display("time", humantime::format_rfc3339_millis(now.max(UNIX_EPOCH)));
        line
    }

    pub fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        self.quote(value);
    }

    pub fn number(&mut self, name: &str, value: impl std::fmt::Display) {
        self.name(name);
        write!(self.0, "{value}").expect("a string takes everything");
    }

    /// What is written without a character that JSON escapes.
    pub fn display(&mut self, name: &str, value: impl std::fmt::Display) {
        self.name(name);
        write!(self.0, "\"{value}\"").expect("a string takes everything");
    }

    pub fn duration(&mut self, value: Duration) {
        self.number("duration_ms", format_args!("{:.3}", value.as_secs_f64() * 1000.0));
    }

    pub fn about(&mut self, about: &About) {
        self.facts(&about.facts);
        if !about.ops.is_empty() {
            self.name("ops");
            self.0.push('[');
            for op in &about.ops {
                self.op(op);
            }
            self.0.push(']');
        }
        if about.ops_left_out > 0 {
            self.number("ops_left_out", about.ops_left_out);
        }
        if about.incomplete {
            self.number("incomplete", true);
        }
    }

    pub fn facts(&mut self, facts: &[Fact]) {
        for Fact { name, is } in facts {
            match is {
                Is::Flag(flag) => self.number(name, flag),
                Is::Hex(id) => self.display(name, format_args!("{id:x}")),
                Is::Key(key) => self.key(name, key),
                Is::Number(number) => self.number(name, number),
                Is::Text(text) => self.text(name, text),
            }
        }
    }

    fn op(&mut self, Op { kind, branch, facts }: &Op) {
        if self.0.ends_with('}') {
            self.0.push(',');
        }
        self.0.push('{');
        self.text("op", kind);
        if !branch.is_empty() {
            self.text("branch", branch);
        }
        self.facts(facts);
        self.0.push('}');
    }

    fn key(&mut self, name: &str, key: &Key) {
        match std::str::from_utf8(&key.bytes) {
            Ok(text) if !text.chars().any(char::is_control) => self.text(name, text),
            _ => self.display(&format!("{name}_base64"), STANDARD.encode(&key.bytes)),
        }
        if key.length > key.bytes.len() {
            self.number(&format!("{name}_length"), key.length);
        }
    }

    /// Ids in hexadecimal.
    pub fn ids(&mut self, name: &str, ids: &[i64]) {
        self.name(name);
        for (at, id) in ids.iter().enumerate() {
            let before = if at == 0 { '[' } else { ',' };
            write!(self.0, "{before}\"{id:x}\"").expect("a string takes everything");
        }
        self.0.push_str(if ids.is_empty() { "[]" } else { "]" });
    }

    fn name(&mut self, name: &str) {
        if !self.0.ends_with('{') {
            self.0.push(',');
        }
        self.0.push('"');
        self.0.push_str(name);
        self.0.push_str("\":");
    }

    fn quote(&mut self, value: &str) {
        let quoted = serde_json::to_string(value).expect("a text is JSON");
        self.0.push_str(&quoted);
    }

    pub fn end(mut self) -> Vec<u8> {
        self.0.push_str("}\n");
        self.0.into_bytes()
    }
}
