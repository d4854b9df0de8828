//! The grammar, read and written.

use super::command::{self, Argument, Command};
use super::parse::{Problem, Step, SyntaxError, Transcript};

fn arguments(line: &str) -> Result<Vec<(String, Vec<String>)>, usize> {
    let (_, arguments) = command::parse(line)?;
    Ok(arguments.into_iter().map(|Argument { key, values }| (key, values)).collect())
}

fn steps(text: &str) -> Vec<Step> {
    Transcript::parse(text).expect("it is well formed").steps
}

fn error(text: &str) -> (usize, Problem) {
    let SyntaxError { line, problem } = Transcript::parse(text).expect_err("it is malformed");
    (line, problem)
}

#[test]
fn arguments_are_keys_values_and_lists() {
    for (line, expected) in [
        ("cmd", vec![]),
        ("  cmd  1   2 ", vec![("1", vec![]), ("2", vec![])]),
        ("cmd a=b c= d", vec![("a", vec!["b"]), ("c", vec![""]), ("d", vec![])]),
        ("cmd a=", vec![("a", vec![""])]),
        ("cmd a=b=c \"x\"", vec![("a", vec!["b=c"]), ("\"x\"", vec![])]),
        ("cmd a=(1,2,  3) b", vec![("a", vec!["1", "2", "3"]), ("b", vec![])]),
        ("cmd a=( 1 , 2 )", vec![("a", vec![" 1 ", "2 "])]),
        ("cmd a=() b=(,)", vec![("a", vec![""]), ("b", vec!["", ""])]),
        ("cmd a=(f(1, g(2)), h(3))b", vec![("a", vec!["f(1, g(2))", "h(3)"]), ("b", vec![])]),
        ("cmd ä=(ö,ü)", vec![("ä", vec!["ö", "ü"])]),
    ] {
        let owned = |values: Vec<&str>| values.into_iter().map(String::from).collect();
        let expected = expected.into_iter().map(|(key, values)| (String::from(key), owned(values))).collect();
        assert_eq!(arguments(line), Ok(expected), "{line}");
    }
}

#[test]
fn a_malformed_argument_is_told_by_its_column() {
    assert_eq!(arguments("cmd a =b"), Err(7));
    assert_eq!(arguments("cmd ab c=(1,(2)"), Err(8));
    assert_eq!(error("\ncmd =\n----\n"), (2, Problem::Malformed { column: 5 }));
}

#[test]
fn a_file_is_steps_among_comments_and_empty_lines() {
    let text = "# a comment\n\n  # another\nfirst 1 \\\n  2 \\\n 3\n  some\n\n# input\n----\nout 1\n out 2\n\n\
                subtest inner\n\nsecond\n----\n \nthird\n----\n----\none\n\n----\ntwo\n----\n----\n\nfourth\n----";
    let steps = steps(text);
    let told: Vec<_> = steps
        .iter()
        .map(|step| (step.command.line, step.command.name.as_str(), step.expected.as_str()))
        .collect();
    let expected = [
        (4, "first", "out 1\n out 2\n"),
        (16, "second", ""),
        (19, "third", "one\n\n----\ntwo\n"),
        (29, "fourth", ""),
    ];
    assert_eq!(told, expected);
    assert_eq!(steps[0].command.bare().collect::<Vec<_>>(), ["1", "2", "3"]);
    assert_eq!(steps[0].command.input, "some\n\n# input");
}

#[test]
fn lines_may_end_as_on_windows() {
    let steps = steps("a\r\nin\r\n----\r\nout\r\n\r\nb\r\n----\r\n");
    assert_eq!((steps[0].command.input.as_str(), steps[0].expected.as_str()), ("in", "out\n"));
    assert_eq!(steps[1].command.name, "b");
}

#[test]
fn what_is_malformed_is_told_with_its_line() {
    assert_eq!(error("a\n----\n\nb\ninput\n"), (4, Problem::NoOutput));
    assert_eq!(error("a\n----\n----\nout\n\nmore\n----\n"), (3, Problem::Unended));
    assert_eq!(error("a\n----\n----\nout\n----\n----\nb\n"), (7, Problem::Continued));
}

#[test]
fn values_are_asked_for_by_key() {
    let command = &steps("deliver-msgs 2 1 type=MsgApp drop=(3, 4) flag\n----\n")[0].command;
    assert_eq!(command.bare().collect::<Vec<_>>(), ["2", "1", "flag"]);
    assert_eq!(command.value::<String>("type").as_deref(), Some("MsgApp"));
    assert_eq!(command.values::<u64>("drop"), Some(vec![3, 4]));
    assert_eq!(command.value::<u64>("flag"), None);
    assert_eq!(command.values::<u64>("other"), None);
    command.takes_only(&["drop", "type"]);
}

#[test]
fn a_wrong_argument_panics_with_its_key() {
    let command = &steps("a n=x m=(1,2) k=1\n----\n")[0].command;
    let why = |ask: fn(&Command)| {
        let why = std::panic::catch_unwind(|| ask(command)).expect_err("it is wrong");
        why.downcast_ref::<String>().cloned().expect("it says why")
    };
    let invalid = why(|it| assert!(it.value::<u64>("n").is_some()));
    assert_eq!(invalid, "n=x: invalid digit found in string");
    assert_eq!(why(|it| assert!(it.value::<u64>("m").is_some())), "m: it takes one value");
    assert_eq!(why(|it| it.takes_only(&["n", "m"])), "a takes no k");
}

#[test]
fn only_the_outputs_that_changed_are_written() {
    let text =
        "# one\na\n----\nold\n\n\nb  x\n  in\n----\nkept\n\t\nc\n----\n----\nold\n\nold\n----\n----\n# end\n";
    let text = &text.replace("# end", "\n# end");
    let transcript = Transcript::parse(text).expect("it is well formed");
    assert_eq!(&transcript.rewritten(&[None, None, None]), text);
    let written = transcript.rewritten(&[Some(String::from("x\n\ny")), None, Some(String::from("new\n"))]);
    assert_eq!(
        written,
        "# one\na\n----\n----\nx\n\ny\n----\n----\n\n\nb  x\n  in\n----\nkept\n\t\nc\n----\nnew\n\n# end\n"
    );
}

#[test]
fn an_output_is_added_where_there_is_none() {
    for (text, expected) in [
        ("a\n----", "a\n----\nok\n"),
        ("a\n----\n", "a\n----\nok\n"),
        ("a\n----\n\n# end", "a\n----\nok\n\n# end"),
        ("a\n----\nold", "a\n----\nok\n"),
        ("a\n----\n----\n----\n----", "a\n----\nok\n"),
    ] {
        let transcript = Transcript::parse(text).expect("it is well formed");
        assert_eq!(transcript.rewritten(&[Some(String::from("ok"))]), expected, "{text:?}");
    }
}

#[test]
fn random_files_stay_as_they_are_and_random_outputs_are_read_back() {
    for seed in 0..5000 {
        let mut random = fastrand::Rng::with_seed(seed);
        let text = random_file(&mut random);
        let transcript = Transcript::parse(&text).unwrap_or_else(|why| panic!("{why:?} in {text}"));
        let steps = &transcript.steps;
        assert_eq!(transcript.rewritten(&vec![None; steps.len()]), text, "seed {seed}");
        let outputs: Vec<String> = steps.iter().map(|_| random_output(&mut random)).collect();
        let some: Vec<Option<String>> = outputs.iter().cloned().map(Some).collect();
        let written = transcript.rewritten(&some);
        let again = Transcript::parse(&written).unwrap_or_else(|why| panic!("{why:?} in {written}"));
        for ((old, new), output) in steps.iter().zip(&again.steps).zip(&outputs) {
            assert_eq!(new.expected, *output, "seed {seed}: {written}");
            let (old, new) = (&old.command, &new.command);
            assert_eq!((&old.name, &old.arguments, &old.input), (&new.name, &new.arguments, &new.input));
        }
        assert_eq!(again.steps.len(), steps.len());
        assert_eq!(again.rewritten(&some), written, "seed {seed}: a second time changes nothing");
    }
}

fn random_file(random: &mut fastrand::Rng) -> String {
    let mut text = String::new();
    for _ in 0..random.usize(..5) {
        text.push_str(["", "\n", "# ----\n", "  # x\n\n", " \t \n"][random.usize(..5)]);
        text.push_str(["a", "b 1 2", "c x=(1, (2)) \\\n y", "d\tx"][random.usize(..4)]);
        text.push_str(["\n", " \n", "\n in\n\n ---- \n", "\n# in\n"][random.usize(..4)]);
        text.push_str("----\n");
        let output = random_output(random);
        if output.lines().all(|it| !it.trim().is_empty()) && !output.starts_with("----") {
            text.push_str(&output);
        } else {
            text.push_str(&format!("----\n{output}----\n----\n"));
        }
        text.push_str(["\n", " \n\n", "\n# x\n"][random.usize(..3)]);
    }
    text
}

fn random_output(random: &mut fastrand::Rng) -> String {
    let lines = ["ok\n", " indented\n", "# x\n", "a b=c\n", "---\n", "> 1 handling Ready\n"];
    let mut output: String = (0..random.usize(..4)).map(|_| lines[random.usize(..6)]).collect();
    match random.u8(..8) {
        0 => output.insert(0, '\n'),
        1 => output.push_str(" \t\n"),
        // Read as a mark only if it comes first.
        2 if !output.is_empty() => output.push_str("----\n"),
        _ => {}
    }
    output
}
