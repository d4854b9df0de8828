//! Files and folders, run with interpreters that know no Raft.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use super::kind::NoKind;
use super::parse::Transcript;
use super::run::{Failure, run_file};
use super::{Command, Interpreter, Kind, Mode, run_folder};

/// Says its kind, how many commands it was given, and each of them.
struct Echo {
    kind: Kind,
    count: usize,
}

impl Interpreter for Echo {
    fn run(&mut self, command: &Command) -> String {
        self.count += 1;
        assert_ne!(command.input, "wrong", "it makes no sense");
        let said = format!("{:?} {} {}", self.kind, self.count, command.name);
        if command.input.is_empty() { said } else { format!("{said}\n{}", command.input) }
    }
}

fn echo(kind: Kind) -> Box<dyn Interpreter> {
    Box::new(Echo { kind, count: 0 })
}

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder can be made");
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("it is in the folder")).expect("a folder can be made");
        fs::write(path, text).expect("a file can be written");
    }
    folder
}

fn run(text: &str, mode: Mode) -> Result<usize, Failure> {
    let folder = folder(&[("a.txt", text)]);
    run_file(&folder.path().join("a.txt"), mode, &echo)
}

fn message(run: impl FnOnce() -> usize) -> String {
    let why = catch_unwind(AssertUnwindSafe(run)).expect_err("it fails");
    why.downcast_ref::<String>().cloned().expect("it says why")
}

#[test]
fn each_file_has_its_own_interpreter_of_its_kind() {
    let folder = folder(&[
        ("a.txt", "simple\n----\nConfChange 1 simple\n\nleave-joint\n----\nConfChange 2 leave-joint\n"),
        ("deep/inside/b.txt", "vote\n----\nQuorum 1 vote\n"),
        ("c", "_breakpoint\n----\nInteraction 1 _breakpoint\n"),
        (".hidden", "nonsense"),
        ("c~", "nonsense"),
        ("#c#", "nonsense"),
    ]);
    assert_eq!(run_folder(folder.path(), Mode::Check, &echo), 3);
}

#[test]
fn a_folder_without_files_fails() {
    let folder = folder(&[("inside/.hidden", "")]);
    assert!(message(|| run_folder(folder.path(), Mode::Check, &echo)).ends_with(": no transcripts"));
    let missing = folder.path().join("missing");
    assert!(message(|| run_folder(&missing, Mode::Check, &echo)).contains("missing: No such file"));
}

#[test]
fn every_file_that_fails_is_told_with_its_place() {
    let folder = folder(&[
        ("a.txt", "\nvote\n----\nQuorum 2 vote\n\nvote\n----\nnonsense\n"),
        ("b.txt", "vote\n----\nQuorum 1 vote\n"),
        ("c.txt", "vote\nwrong\n----\n"),
        ("d.txt", "vote =\n----\n"),
    ]);
    let told = message(|| run_folder(folder.path(), Mode::Check, &echo));
    let told = told.replace(&format!("{}/", folder.path().display()), "");
    let expected = "3 of 4 failed
a.txt:2: vote has another output (-: expected)
- Quorum 2 vote
+ Quorum 1 vote

c.txt:1: vote panicked: assertion `left != right` failed: it makes no sense
  left: \"wrong\"
 right: \"wrong\"
d.txt:1: no argument begins at column 6";
    assert_eq!(told, expected);
}

#[test]
fn kinds_are_told_apart_by_their_commands() {
    let kind = |text| Kind::of(&Transcript::parse(text).expect("it is well formed").steps);
    assert_eq!(kind("committed\n----\n\nvote\n----\n"), Ok(Kind::Quorum));
    assert_eq!(kind("enter-joint\n----\n"), Ok(Kind::ConfChange));
    assert_eq!(kind("add-nodes 3\n----\n"), Ok(Kind::Interaction));
    assert_eq!(kind("# only this\n"), Err(NoKind::Empty));
    assert_eq!(kind("vote\n----\n\nsimple\n----\n"), Err(NoKind::Mixed { line: 4 }));
    let unknown = NoKind::Unknown { line: 1, name: String::from("votes") };
    assert_eq!(kind("votes\n----\n"), Err(unknown));
}

#[test]
fn outputs_are_rewritten_and_hold_afterwards() {
    let text = "# why\nvote\n----\nold\n\nvote x=1\n----\nINFO kept\nQuorum 2 vote\n\nvote\na\n\nb\n----\n";
    let folder = folder(&[("a.txt", text)]);
    let path = folder.path().join("a.txt");
    let read = |path: &Path| fs::read_to_string(path).expect("it is there");
    assert!(matches!(run_file(&path, Mode::Check, &echo), Err(Failure::Differs { line: 2, .. })));
    assert_eq!(read(&path), text, "checking changes nothing");
    assert_eq!(run_folder(folder.path(), Mode::Rewrite, &echo), 1);
    let expected = "# why\nvote\n----\nQuorum 1 vote\n\nvote x=1\n----\nINFO kept\nQuorum 2 vote\n\n\
                    vote\na\n\nb\n----\n----\nQuorum 3 vote\na\n\nb\n----\n----\n";
    assert_eq!(read(&path), expected);
    assert_eq!(run_folder(folder.path(), Mode::Check, &echo), 1);
}

#[test]
fn lines_of_a_log_do_not_count() {
    for expected in ["Quorum 1 vote", "INFO x\nQuorum 1 vote", "Quorum 1 vote\n  DEBUG 1 y\n ERROR"] {
        assert!(run(&format!("vote\n----\n{expected}\n"), Mode::Check).is_ok(), "{expected}");
    }
    for expected in ["INFO Quorum 1 vote", "INFORMED\nQuorum 1 vote", "x INFO\nQuorum 1 vote", "ok", ""] {
        assert!(run(&format!("vote\n----\n{expected}\n"), Mode::Check).is_err(), "{expected}");
    }
}

#[test]
fn only_lines_of_a_log_are_the_same_as_ok() {
    struct Silent(&'static str);
    impl Interpreter for Silent {
        fn run(&mut self, _: &Command) -> String {
            String::from(self.0)
        }
    }
    for (expected, actual, agree) in [
        ("INFO x", "ok", true),
        ("ok", "INFO x", true),
        ("INFO x", "WARN y", true),
        ("INFO x", "other", false),
        ("", "ok", false),
        ("", "", true),
    ] {
        let folder = folder(&[("a.txt", &format!("vote\n----\n{expected}\n"))]);
        let path = folder.path().join("a.txt");
        let outcome = run_file(&path, Mode::Check, &|_| Box::new(Silent(actual)));
        assert_eq!(outcome.is_ok(), agree, "{expected:?} and {actual:?}");
    }
}

#[test]
fn a_difference_shows_what_is_alike_around_it() {
    let text = "vote\n1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n----\n\
                Quorum 1 vote\n1\nINFO of a log\n2\nx\n3\n4\n5\n6\n7\n8\n9\n10\ny\nz\n";
    let Err(failure) = run(text, Mode::Check) else {
        panic!("it differs");
    };
    let expected = "a:1: vote has another output (-: expected)
  Quorum 1 vote
  1
  2
- x
  3
  4
  5
  …
  8
  9
  10
- y
- z
+ 11
";
    assert_eq!(failure.at(Path::new("a")), expected);
}
