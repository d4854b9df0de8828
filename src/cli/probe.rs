//! `etcdlet probe`: a health check where there is nothing but this program to run, as in its image.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::net::address::{Address, AddressError};

/// Asks the admin port of a running etcdlet.
#[derive(Args, Debug)]
pub struct Probe {
    /// Whether it runs, or whether it can serve.
    #[arg(value_enum, default_value_t = Question::Readyz)]
    question: Question,
    /// The one of the etcdlet that is asked.
    #[arg(long, env = "ETCDLET_ADMIN_URL", value_name = "URL", default_value = "http://127.0.0.1:9379")]
    admin_url: String,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Question {
    Livez,
    Readyz,
}

#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    #[error("--admin-url: {0}")]
    Address(#[from] AddressError),
    #[error("{url}: {source}")]
    NoAnswer { url: Address, source: io::Error },
    #[error("{path}: {answer}")]
    No { path: &'static str, answer: String },
}

impl Probe {
    /// Succeeds when the answer is yes.
    pub fn run(&self) -> Result<(), ProbeError> {
        let url: Address = self.admin_url.parse()?;
        let path = match self.question {
            Question::Livez => "/livez",
            Question::Readyz => "/readyz",
        };
        let answer = get(&url, path).map_err(|source| ProbeError::NoAnswer { url, source })?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.lines().next().unwrap_or_default();
        if status.split(' ').nth(1) == Some("200") {
            return Ok(());
        }
        Err(ProbeError::No { path, answer: format!("{status} {}", body.trim()) })
    }
}

/// The answer as it came, as far as there is room for it.
fn get(url: &Address, path: &str) -> io::Result<String> {
    if url.tls {
        return Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "only an admin port without TLS can be asked",
        ));
    }
    let address = (url.host.as_str(), url.port).to_socket_addrs()?.next();
    let address = address.ok_or_else(|| io::Error::other("the name has no address"))?;
    let mut stream = TcpStream::connect_timeout(&address, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    // Version 1.0 ends the answer with the connection.
    let request = format!("GET {path} HTTP/1.0\r\nHost: {}\r\n\r\n", url.authority());
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(ANSWER_MAX).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Kubernetes waits for a second by default.
const LIMIT: Duration = Duration::from_millis(900);

const ANSWER_MAX: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    fn asked(answer: &'static str) -> (String, Result<(), ProbeError>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let admin_url = format!("http://{}", listener.local_addr().unwrap());
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let length = stream.read(&mut request).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8_lossy(&request[..length]).into_owned()
        });
        let result = Probe { question: Question::Readyz, admin_url }.run();
        (server.join().unwrap(), result)
    }

    #[test]
    fn only_200_is_a_yes() {
        let (request, result) = asked("HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok");
        assert!(request.starts_with("GET /readyz HTTP/1.0\r\n"), "{request}");
        result.unwrap();
        let (_, result) = asked("HTTP/1.0 503 Service Unavailable\r\n\r\nno healthy member\n");
        assert_eq!(
            result.unwrap_err().to_string(),
            "/readyz: HTTP/1.0 503 Service Unavailable no healthy member"
        );
        asked("").1.unwrap_err();
    }

    #[test]
    fn nobody_there_is_no() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let admin_url = listener.local_addr().unwrap().to_string();
        drop(listener);
        let result = Probe { question: Question::Livez, admin_url }.run();
        assert!(matches!(result, Err(ProbeError::NoAnswer { .. })), "{result:?}");
    }
}
