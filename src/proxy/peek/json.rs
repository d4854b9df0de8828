//! The same header as the JSON gateway writes it, as the first field of an answer or of one of a
//! stream's results.

use super::response::Header;

/// `None` if this does not begin with a header, or with less than all of it.
pub(crate) fn header(bytes: &[u8]) -> Option<Header> {
    let text = bytes.get(..bytes.len().min(HEADER_MAX))?;
    let text = text.split_inclusive(|byte| *byte == b'}').next()?.strip_suffix(b"}")?;
    let text = std::str::from_utf8(text).ok()?;
    let text = inside(text, "result").unwrap_or(text);
    let mut header = Header::default();
    for field in inside(text, "header")?.split(',') {
        let (name, value) = field.split_once(':')?;
        // 64-bit numbers are text in proto3's JSON.
        let value = unquoted(value);
        match unquoted(name) {
            "cluster_id" => header.cluster_id = value.parse().ok()?,
            "member_id" => header.member_id = value.parse().ok()?,
            "raft_term" => header.raft_term = value.parse().ok()?,
            "revision" => header.revision = value.parse().ok()?,
            _ => {}
        }
    }
    (header.cluster_id != 0 && header.member_id != 0).then_some(header)
}

/// Follows the lines of a stream through data that may be cut anywhere, and tells the header of each.
#[derive(Debug)]
pub(crate) struct Headers {
    /// The beginning of a line that does not show its header yet.
    ahead: [u8; HEADER_MAX],
    /// Of that; `None` behind the header, where only the end of the line matters.
    length: Option<usize>,
}

impl Headers {
    pub fn new() -> Self {
        Self { ahead: [0; HEADER_MAX], length: Some(0) }
    }

    /// Calls `found` for every header that is complete with these bytes.
    pub fn on_data(&mut self, mut bytes: &[u8], mut found: impl FnMut(Header)) {
        while !bytes.is_empty() {
            let Some(before) = self.length else {
                let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else { return };
                bytes = &bytes[end + 1..];
                self.length = Some(0);
                continue;
            };
            let here = &bytes[..bytes.len().min(HEADER_MAX - before)];
            let end = here.iter().position(|byte| matches!(byte, b'}' | b'\n'));
            let here = end.map_or(here, |end| &here[..=end]);
            let length = before + here.len();
            self.ahead[before..length].copy_from_slice(here);
            bytes = &bytes[here.len()..];
            self.length = match end.map(|end| here[end]) {
                Some(b'\n') => Some(0),
                Some(_) => {
                    header(&self.ahead[..length]).into_iter().for_each(&mut found);
                    None
                }
                None => Some(length).filter(|length| *length < HEADER_MAX),
            };
        }
    }
}

/// What follows where an object begins with an object of this name.
fn inside<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (first, rest) = text.trim_start().strip_prefix('{')?.split_once(':')?;
    (unquoted(first) == name && rest.trim_start().starts_with('{')).then(|| match name {
        // It is the object that is looked into next.
        "result" => rest,
        _ => &rest.trim_start()[1..],
    })
}

fn unquoted(text: &str) -> &str {
    text.trim().trim_matches('"')
}

/// Four numbers with their names.
const HEADER_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_of_an_answer_and_of_a_result_is_read() {
        let expected = Header { cluster_id: 14841639068965178418, member_id: 7, revision: 42, raft_term: 2 };
        for text in [
            r#"{"header":{"cluster_id":"14841639068965178418","member_id":"7","revision":"42","raft_term":"2"}}"#,
            r#"{"header":{"cluster_id":"14841639068965178418","member_id":"7","revision":"42","raft_term":"2"},"kvs":[{"key":"YQ=="#,
            r#"{"result":{"header":{"cluster_id":"14841639068965178418","member_id":"7","revision":"42","raft_term":"2"},"created":true}}"#,
            r#"{"header":{"cluster_id":"14841639068965178418", "member_id":"7", "revision":"42", "raft_term":"2"}}"#,
            "{ \"result\": { \"header\": {\n\"cluster_id\": \"14841639068965178418\",\n\"member_id\": \"7\",\n\"revision\": \"42\", \"raft_term\": \"2\"} } }",
        ] {
            assert_eq!(header(text.as_bytes()), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_has_no_whole_header_has_none() {
        for text in [
            "",
            "{",
            "{}",
            r#"{"error":"etcdserver: key is not provided","code":3}"#,
            r#"{"header":{"cluster_id":"1","member_id":"2","revision":"4"#,
            r#"{"header":{"revision":"42"}}"#,
            r#"{"header":{"cluster_id":"1","member_id":"2","revision":"many"}}"#,
            r#"{"kvs":[],"header":{"cluster_id":"1","member_id":"2","revision":"42"}}"#,
            "{\"header\":{\"cluster_id\":\"1\",\"member_id\":\"2\",\"revision\":\"4\u{fffd}\"}}",
        ] {
            assert_eq!(header(text.as_bytes()), None, "{text}");
        }
        let mut rng = fastrand::Rng::with_seed(1);
        for _ in 0..10_000 {
            let bytes: Vec<u8> =
                (0..rng.usize(..64)).map(|_| *rng.choice(b"{}\":,header1\xff").unwrap()).collect();
            header(&bytes);
        }
    }

    #[test]
    fn every_line_of_a_stream_shows_its_header_wherever_it_is_cut() {
        let line = |revision: i64| {
            let header = format!(r#"{{"cluster_id":"1","member_id":"2","revision":"{revision}"}}"#);
            format!("{{\"result\":{{\"header\":{header},\"events\":[{{\"kv\":{{}}}}]}}}}\n")
        };
        let long = format!("{{\"error\":\"{}\n", "e".repeat(2 * HEADER_MAX));
        let stream = [&line(7), "\n", &long, &line(8), "{}\n", &line(9)].concat();
        for at in 0..=stream.len() {
            let (mut headers, mut found) = (Headers::new(), Vec::new());
            let (first, second) = stream.split_at(at);
            for piece in [first, second] {
                headers.on_data(piece.as_bytes(), |header| found.push(header.revision));
            }
            assert_eq!(found, [7, 8, 9], "cut at {at}");
        }
    }
}
