//! Files, pipes, and those that take only a part.

use super::*;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Instant;

const LIMIT: Duration = Duration::from_secs(10);

fn sink(path: &Path, buffer_bytes: usize) -> Sink {
    let config = Config { target: Target::File(path.to_owned()), buffer_bytes };
    Sink::open(&config, &Metrics::new()).unwrap()
}

#[test]
fn lines_are_in_the_file_when_it_is_closed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit");
    std::fs::write(&path, "before\n").unwrap();
    let sink = sink(&path, 1000);
    for line in ["a\n", "b\n"] {
        sink.append(line.as_bytes());
    }
    sink.close(LIMIT);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "before\na\nb\n");
}

#[test]
fn a_file_that_was_moved_is_left_when_it_is_opened_again() {
    let directory = tempfile::tempdir().unwrap();
    let (path, moved) = (directory.path().join("audit"), directory.path().join("audit.1"));
    let sink = sink(&path, 1000);
    sink.append(b"a\n");
    std::fs::rename(&path, &moved).unwrap();
    sink.append(b"b\n");
    sink.reopen();
    while !path.exists() {
        std::thread::yield_now();
    }
    sink.append(b"c\n");
    sink.close(LIMIT);
    assert_eq!(std::fs::read_to_string(&moved).unwrap(), "a\nb\n");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "c\n");
}

#[test]
fn lines_beyond_the_buffer_are_counted_and_a_line_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit");
    let fifo = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(fifo.success());
    let sink = sink(&path, 256 << 10);
    let line = [vec![b'x'; 1023], vec![b'\n']].concat();
    // A pipe takes 64 KiB; beyond that and the buffer nobody waits.
    for _ in 0..1000 {
        sink.append(&line);
    }
    let lost = sink.0.metrics.dropped.get();
    assert!((600..800).contains(&lost), "{lost}");
    let mut pipe = File::open(&path).unwrap();
    let reader = std::thread::spawn(move || {
        let (mut text, mut piece) = (Vec::new(), [0; 1 << 16]);
        while !text.ends_with(b"}\n") {
            let length = pipe.read(&mut piece).unwrap();
            text.extend_from_slice(&piece[..length]);
        }
        String::from_utf8(text).unwrap()
    });
    let text = reader.join().unwrap();
    sink.close(LIMIT);
    let told = text.lines().last().unwrap();
    let told: serde_json::Value = serde_json::from_str(told).unwrap();
    assert_eq!((told["op"].as_str(), told["lines"].as_u64()), (Some("dropped"), Some(lost)));
    assert_eq!(text.lines().count() as u64, 1000 - lost + 1);
}

#[test]
fn the_end_does_not_wait_for_a_pipe_that_nobody_reads() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let sink = sink(&path, 1 << 20);
    sink.append(&[b'x'; 512 << 10]);
    let started = Instant::now();
    sink.close(Duration::from_millis(50));
    assert!(started.elapsed() < LIMIT);
}

#[test]
fn a_line_that_was_begun_in_a_full_file_is_whole_in_the_next_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit");
    let config = Config { target: Target::File(path.clone()), buffer_bytes: 1 };
    let sink = Sink::new(&config, &Metrics::new());
    sink.reopen();
    // It takes some lines, then a part of one, then no more.
    let (full, mut other) = UnixStream::pair().unwrap();
    full.set_nonblocking(true).unwrap();
    let lines: Vec<u8> =
        (0..100_000).flat_map(|number| format!("line {number:0>51}\n").into_bytes()).collect();
    Writer::new(sink, OwnedFd::from(full).into()).write(&lines);
    let mut written = Vec::new();
    other.read_to_end(&mut written).unwrap();
    let whole = written.iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    assert!(whole < written.len(), "no line was torn");
    written.truncate(whole);
    written.extend(std::fs::read(&path).unwrap());
    assert!(written == lines);
}

#[test]
fn lines_are_told_as_lost_whatever_the_clock_says() {
    assert!(dropped(1, UNIX_EPOCH - LIMIT).contains("\"1970-01-01T00:00:00.000Z\""));
}

#[test]
fn a_file_that_was_not_moved_is_the_same_when_it_is_opened_again() {
    let directory = tempfile::tempdir().unwrap();
    let (logs, elsewhere) = (directory.path().join("logs"), directory.path().join("elsewhere"));
    std::fs::create_dir(&logs).unwrap();
    let path = logs.join("audit");
    let config = Config { target: Target::File(path.clone()), buffer_bytes: 1 };
    let output = config.target.open().unwrap();
    let mut writer = Writer::new(Sink::new(&config, &Metrics::new()), output);
    let mut reopened = || (writer.reopen(), writer.sink.0.metrics.failing.get());
    assert_eq!(reopened(), (false, 0));
    std::fs::rename(&logs, &elsewhere).unwrap();
    assert_eq!(reopened(), (false, 1), "there is no such directory");
    std::fs::rename(&elsewhere, &logs).unwrap();
    assert_eq!(reopened(), (false, 0));
    std::fs::rename(&path, directory.path().join("audit.1")).unwrap();
    assert_eq!(reopened(), (true, 0));
}

#[test]
fn a_gauge_says_that_lines_cannot_be_written() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit");
    std::os::unix::fs::symlink("/dev/full", &path).unwrap();
    let sink = sink(&path, 1000);
    let becomes = |failing: i64| {
        let started = Instant::now();
        while sink.0.metrics.failing.get() != failing {
            assert!(started.elapsed() < LIMIT, "{failing}");
            std::thread::yield_now();
        }
    };
    sink.append(b"a\n");
    becomes(1);
    std::fs::remove_file(&path).unwrap();
    sink.reopen();
    becomes(0);
    sink.close(LIMIT);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "a\n");
}

#[test]
fn a_line_that_is_longer_than_the_buffer_is_told_as_lost_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit");
    let sink = sink(&path, 5);
    let told =
        || std::fs::read_to_string(&path).unwrap().matches("\"op\":\"dropped\",\"lines\":1}\n").count();
    for count in 1..=5 {
        sink.append(b"too long\n");
        let started = Instant::now();
        while told() < count {
            assert!(started.elapsed() < LIMIT, "{count}");
            std::thread::yield_now();
        }
    }
    sink.close(LIMIT);
}
