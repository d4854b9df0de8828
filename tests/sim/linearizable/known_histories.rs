//! Histories that are known to be linearizable or not, as pictures: a character is a moment.

use super::{Answer, Fault, History, OperationId, Request, check};

/// One operation a line: key, what was done, what was told, and a bar from `|` to `|`, or to `>` if no answer came.
fn history(picture: &str) -> History {
    let mut events: Vec<(usize, usize, bool)> = Vec::new();
    let lines: Vec<&str> = picture.lines().map(str::trim_end).filter(|it| !it.is_empty()).collect();
    for (index, line) in lines.iter().enumerate() {
        let begin = line.find('|').expect("a bar begins");
        events.push((begin, index, true));
        if line.ends_with('|') {
            events.push((line.len(), index, false));
        }
    }
    events.sort_unstable();
    let mut history = History::default();
    let mut ids: Vec<Option<OperationId>> = vec![None; lines.len()];
    for (_, index, is_call) in events {
        let words: Vec<&str> = lines[index].split_whitespace().collect();
        if is_call {
            ids[index] = Some(history.call(index as u64 + 1, words[0], request(&words[1..])));
        } else if let Some(answer) = answer(&words[1..]) {
            history.answer(ids[index].expect("it was called"), answer);
        } else {
            history.refuse(ids[index].expect("it was called"));
        }
    }
    history
}

fn request(words: &[&str]) -> Request {
    match words {
        ["put", value, ..] => Request::Put(String::from(*value)),
        ["get", ..] => Request::Get,
        ["delete", ..] => Request::Delete,
        ["swap", from, to, ..] => Request::CompareAndSwap { expected: value(from), new: value(to) },
        other => panic!("{other:?}"),
    }
}

fn answer(words: &[&str]) -> Option<Answer> {
    Some(match words {
        [.., "refused", _] => return None,
        ["put", ..] => Answer::Put,
        ["get", seen, _] => Answer::Found(value(seen)),
        ["delete", told, _] => Answer::Deleted(*told == "done"),
        ["swap", _, _, told, _] => Answer::Swapped(*told == "done"),
        other => panic!("{other:?}"),
    })
}

fn value(word: &str) -> Option<String> {
    (word != "nothing").then(|| String::from(word))
}

const GOOD: &[(&str, &str)] = &[
    ("nothing at all", ""),
    ("a key is absent at first", "k get nothing |--|"),
    (
        "overlapping writes take effect in either order",
        "
        k put a        |---------|
        k put b          |------|
        k get b                     |--|
        k get b                         |--|",
    ),
    (
        "a read beside a write sees it or not",
        "
        k put a        |--------------|
        k get nothing    |--|
        k get a               |--|",
    ),
    (
        "an unanswered write may take effect much later",
        "
        k put a        |>
        k get nothing     |--|
        k put b                |--|
        k get b                     |--|
        k get a                          |--|",
    ),
    (
        "an unanswered write may never take effect",
        "
        k put a        |>
        k put b           |--|
        k get b                 |--|",
    ),
    (
        "an unanswered delete between two reads",
        "
        k put a        |--|
        k delete             |>
        k get a                 |--|
        k get nothing                |--|",
    ),
    (
        "an unanswered swap may have found another value",
        "
        k put a        |--|
        k swap x y            |>
        k get a                  |--|",
    ),
    (
        "two unanswered swaps, one built on the other",
        "
        k put a        |--|
        k swap b c           |>
        k swap a b             |>
        k get c                   |--|",
    ),
    (
        "a refused write did nothing",
        "
        k put a refused    |--|
        k get nothing            |--|",
    ),
    (
        "each key has its own order",
        "
        k put a        |--|
        l get nothing       |--|
        l put b                  |--|
        k get a                       |--|",
    ),
    (
        "only one of two swaps wins",
        "
        k swap nothing a done    |------|
        k swap nothing b not       |--|
        k get a                           |--|
        k delete done                          |--|
        k delete nothing                            |--|",
    ),
    (
        "values may come back",
        "
        k put a       |--|
        k put b             |--|
        k put a                   |--------|
        k get b                     |--|
        k get a                        |--|",
    ),
];

/// With what the violation must show, by client.
const BAD: &[(&str, &[u64], &str)] = &[
    ("a value from nowhere", &[1], "k get a |--|"),
    (
        "a stale read",
        &[2, 3, 4, 5],
        "
        k put z        |--|
        k put a             |--|
        k put b                  |--|
        k get b                       |--|
        k get a                            |--|
        k get b                                 |--|",
    ),
    (
        "a lost write",
        &[1, 2],
        "
        k put a          |--|
        k get nothing         |--|",
    ),
    (
        "two reads disagree about the order of two writes",
        &[1, 2, 3, 4, 5],
        "
        k put a        |----------------|
        k put b        |----------------|
        k get a             |--|
        k get b                 |--|
        k get a                     |--|",
    ),
    (
        "a read goes back in time beside its write",
        &[1, 2, 3],
        "
        k put a        |--------------|
        k get a           |--|
        k get nothing           |--|",
    ),
    (
        "two swaps win the same value",
        &[1, 2],
        "
        k swap nothing a done    |------|
        k swap nothing b done      |--|",
    ),
    (
        "a swap is refused although it must have found its value",
        &[1, 2],
        "
        k put a           |--|
        k swap a b not         |--|",
    ),
    ("a delete finds what is not there", &[1], "k delete done |--|"),
    (
        "a delete misses what is there",
        &[1, 2],
        "
        k put a             |--|
        k delete nothing         |--|",
    ),
    (
        "an unanswered write takes effect twice",
        &[1, 2, 3, 4],
        "
        k put a        |>
        k get a            |--|
        k put b                 |--|
        k get a                      |--|",
    ),
    (
        "an effect before its call",
        &[1],
        "
        k get a        |--|
        k put a              |>",
    ),
    (
        "a refused write took effect",
        &[2],
        "
        k put a refused    |--|
        k get a                  |--|",
    ),
];

#[test]
fn good_histories_are_explained() {
    for (what, picture) in GOOD {
        if let Err(fault) = check(&history(picture)) {
            panic!("{what}: {fault}");
        }
    }
}

#[test]
fn bad_histories_are_not_and_the_ones_to_blame_are_shown() {
    for (what, blamed, picture) in BAD {
        let Err(Fault::Violated(violation)) = check(&history(picture)) else {
            panic!("{what}: it was explained");
        };
        let shown: Vec<u64> = violation.shown().iter().map(|it| it.client).collect();
        assert_eq!(shown, *blamed, "{what}: {violation}");
    }
}

#[test]
fn a_violation_is_drawn() {
    let fault = check(&history(
        "
        k put a          |--|
        k put b               |----------------|
        l get nothing             |----|
        k delete                         |>
        k swap a c done         |----|
        k get a                                   |--|",
    ))
    .expect_err("the value was replaced");
    let expected = r#"
key "k": no order of these operations explains their answers
  client 1  put "a"                   |--|
  client 5  swap "a" for "c" -> done        |--|
  client 6  get -> "a"                            |--|
the others on the key make no difference (2)"#;
    assert_eq!(format!("\n{fault}"), expected);
}

#[test]
fn what_has_no_answer_is_an_arrow() {
    let fault = check(&history(
        "
        k put a        |>
        k put b            |--|
        k get a                 |--|
        k put c                      |--|
        k get a                           |--|",
    ))
    .expect_err("it took effect twice");
    let expected = r#"
key "k": no order of these operations explains their answers
  client 1  put "a" -> ?  |-------------------------->
  client 2  put "b"          |--|
  client 3  get -> "a"             |--|
  client 4  put "c"                      |--|
  client 5  get -> "a"                         |--|
they are all there are on the key"#;
    assert_eq!(format!("\n{fault}"), expected);
}

#[test]
#[should_panic(expected = "was answered Deleted(true)")]
fn an_answer_to_another_question_is_refused() {
    let mut history = History::default();
    let id = history.call(1, "k", Request::Get);
    history.answer(id, Answer::Deleted(true));
}

#[test]
#[should_panic(expected = "is answered twice")]
fn a_second_answer_is_refused() {
    let mut history = History::default();
    let id = history.call(1, "k", Request::Put(String::from("a")));
    history.answer(id, Answer::Put);
    history.refuse(id);
}
