//! Keys: everything that reads, writes or watches them.

use super::pair::Pair;
use super::text::blank_table;

pub(crate) fn puts_and_gets(pair: &mut Pair) {
    pair.same_all(&[
        "etcdctl get a",
        "etcdctl put a 1",
        "etcdctl put a 2 --prev-kv",
        "printf 'from\\nstdin' | etcdctl put b",
        "etcdctl put a --ignore-value",
        "etcdctl put a 3 --ignore-lease",
        "etcdctl put absent --ignore-value",
        "etcdctl put '' 1",
        "etcdctl put",
        "etcdctl put c 1 -w json",
        "etcdctl put c 2 --prev-kv -w json",
        "etcdctl put c 3 --prev-kv -w fields",
        "etcdctl put c 4 -w table",
        "etcdctl put c 4 -w nothing",
        "etcdctl put c 5 --lease=123",
        "etcdctl put c 5 --lease=none",
        "for i in 5 3 1 4 2; do etcdctl put k/$i v$((6 - i)); done",
        "etcdctl put k/3 again",
        "etcdctl put \"$(printf 'bin\\001\\377')\" \"$(printf '\\002')\"",
        "head -c 1600000 /dev/zero | tr '\\0' x | etcdctl put large",
        "head -c 3000000 /dev/zero | tr '\\0' x | etcdctl put large",
        "head -c 500000 /dev/zero | tr '\\0' x | etcdctl put large",
        "etcdctl get large | cksum",
        "etcdctl del large",
    ]);
    for format in ["simple", "json", "fields"] {
        for flags in GETS {
            pair.same(&format!("etcdctl get {flags} -w {format}"));
        }
    }
    for format in ["table", "nothing"] {
        pair.same(&format!("etcdctl get a -w {format}"));
    }
    pair.same_message("Range", "etcdctl get k/ --prefix -w protobuf");
    pair.same_message("Put", "etcdctl put k/1 v --prev-kv -w protobuf");
    pair.same_message("DeleteRange", "etcdctl del k/1 --prev-kv -w protobuf");
    pair.same_all(&[
        "etcdctl del absent",
        "etcdctl del",
        "etcdctl del b --prev-kv",
        "etcdctl del k/ --prefix --prev-kv -w json",
        "etcdctl put k/1 v && etcdctl del k/ k0 -w fields",
        "etcdctl put z/1 v && etcdctl del z --from-key",
        "etcdctl get '' --prefix",
    ]);
}

pub(crate) fn transactions(pair: &mut Pair) {
    pair.same_all(&[
        "printf 'create(\"t\") = \"0\"\\n\\nput t 1\\nget t\\n\\nget t\\n\\n' | etcdctl txn",
        "printf 'create(\"t\") = \"0\"\\n\\nput t 1\\n\\nget t\\nput u 2\\ndel t --prev-kv\\n\\n' | etcdctl txn",
        "printf 'mod(\"u\") > \"0\"\\nval(\"u\") = \"2\"\\nver(\"u\") = \"1\"\\n\\nget u\\n\\n\\n' | etcdctl txn -w json",
        "printf '\\nput u \"two words\"\\nget u\\n\\n\\n' | etcdctl txn -w fields",
        "printf '\\nput u 1\\nput u 2\\n\\n\\n' | etcdctl txn",
        "printf 'nonsense\\n\\n\\n\\n' | etcdctl txn",
        "printf '\\nget u --rev=100000\\n\\n\\n' | etcdctl txn",
        "printf 'ver(\"u\") > \"0\"\\n\\nget u\\n\\n\\n' | etcdctl txn -i",
    ]);
    pair.same_message("Txn", "printf '\\nput u 3\\nget u\\n\\n\\n' | etcdctl txn -w protobuf");
}

/// The hash of the keys, as long as no lease of the server's choice is among them.
pub(crate) fn hashes(pair: &mut Pair) {
    for format in ["simple", "table", "json", "fields"] {
        pair.same_but(&format!("etcdctl endpoint hashkv -w {format}"), blank_table);
    }
    pair.same_all(&[
        "etcdctl endpoint hashkv --rev=20",
        "etcdctl endpoint hashkv --cluster",
        "etcdctl endpoint hashkv --rev=9999",
    ]);
}

/// Each watch begins at a first event, which shows that it is up: of what came before, etcd makes one response.
pub(crate) fn watches(pair: &mut Pair) {
    // The command, and how many lines it prints for the first event and in the end.
    let commands: [(&str, usize, usize); 8] = [
        ("etcdctl watch w/a --rev={rev}", 3, 9),
        ("etcdctl watch w/ --prefix --rev={rev} --prev-kv", 3, 21),
        ("etcdctl watch w/ --prefix --rev={rev} -w json", 1, 5),
        ("etcdctl watch w/ --prefix --rev={rev} -w fields", 11, 55),
        ("etcdctl watch w/a w/z --rev={rev}", 3, 15),
        ("etcdctl watch w/ --from-key --rev={rev}", 3, 15),
        ("env ETCDCTL_WATCH_KEY=w/a etcdctl watch --rev={rev}", 3, 9),
        (
            "etcdctl watch w/a --rev={rev} -- sh -c \
             'echo $ETCD_WATCH_REVISION $ETCD_WATCH_EVENT_TYPE $ETCD_WATCH_KEY $ETCD_WATCH_VALUE'",
            4,
            12,
        ),
    ];
    for (command, first, last) in commands {
        pair.same("etcdctl put w/a 0");
        let watch = pair.start(&command.replace("{rev}", &pair.revision().to_string()));
        pair.wait_lines(&watch, first);
        pair.same_all(&["etcdctl put w/a 1", "etcdctl put w/a 2", "etcdctl put w/b 1", "etcdctl del w/b"]);
        pair.wait_lines(&watch, last);
        pair.interrupt(watch);
        pair.same("etcdctl del w/ --prefix");
    }
    let first = pair.revision() - 4;
    pair.same_all(&[
        "etcdctl watch w/ --prefix --progress-notify | head -n 1",
        "etcdctl watch",
        "etcdctl watch w/b w/a",
        // It ends with its input.
        &format!("(echo 'watch w/ --prefix --rev={first}'; sleep 1) | etcdctl watch -i"),
        "(echo 'watch'; sleep 1) | etcdctl watch -i",
    ]);
}

const GETS: &[&str] = &[
    "a",
    "absent",
    "a c",
    "k/ --prefix",
    "k/ --prefix --limit=2",
    "k/ --prefix --keys-only",
    "k/ --prefix --rev=8",
    "a --rev=3",
    "a --rev=100000",
    "a --from-key",
    "'' --prefix",
    "k/ --prefix --consistency=s",
    "k/ --prefix --consistency=l",
    "k/ --prefix --consistency=x",
    "k/ --prefix --order=DESCEND",
    "k/ --prefix --order=ASCEND --sort-by=CREATE",
    "k/ --prefix --order=DESCEND --sort-by=MODIFY",
    "k/ --prefix --sort-by=VALUE",
    "k/ --prefix --order=DESCEND --sort-by=VERSION --limit=1",
    "k/ --prefix --order=DESCEND --sort-by=KEY",
    "k/ --prefix --sort-by=NOTHING",
    "k/ --prefix --print-value-only",
    "k/ --prefix --count-only",
    "k/ --prefix --min-mod-rev=9 --max-mod-rev=11",
    "a --hex",
    "a --prefix --from-key",
];
