//! From arguments to checked values.

use std::collections::HashMap;
use std::time::Duration;

use super::help::{group_help, group_usage, start_help, start_usage};
use super::{Exit, Fate, Flag, Group, Kind, duration, value};

/// What was said, and what holds where nothing was.
#[derive(Debug)]
pub struct Given {
    flags: &'static [Flag],
    values: HashMap<&'static str, Vec<String>>,
}

/// `arguments` are those behind the group's name.
pub fn parse(group: &Group, arguments: &[String]) -> Result<Given, Exit> {
    let Some(place) = subcommand(arguments) else {
        return Err(match scan(&[], arguments) {
            Ok(_) | Err(Mistake::Help) => Exit { text: group_help(group), failed: false },
            Err(Mistake::Said(error)) => wrong(&error, &group_usage(group)),
        });
    };
    if arguments[place] != "start" {
        return Err(Exit { text: group_help(group), failed: false });
    }
    let mut arguments = arguments.to_vec();
    arguments.remove(place);
    let values = scan(group.flags, &arguments).map_err(|mistake| match mistake {
        Mistake::Help => Exit { text: start_help(group), failed: false },
        Mistake::Said(error) => wrong(&error, &start_usage(group)),
    })?;
    let given = Given { flags: group.flags, values };
    let refused = given.set().find_map(|flag| refusal(&given, flag));
    match refused {
        Some(error) => Err(Exit::failed(error)),
        None => Ok(given),
    }
}

/// As cobra tells it, and then etcd once more.
fn wrong(error: &str, usage: &str) -> Exit {
    Exit::failed(format!("Error: {error}\n{usage}\n{error}"))
}

fn refusal(given: &Given, flag: &Flag) -> Option<String> {
    let Fate::Refused(instead) = flag.fate else { return None };
    Some(format!("--{} {}: {instead}", flag.name, given.text(flag.name)))
}

/// Where the first argument stands that is neither a flag nor, as far as it can be told, a flag's value.
fn subcommand(arguments: &[String]) -> Option<usize> {
    let mut place = 0;
    while let Some(argument) = arguments.get(place) {
        match argument.strip_prefix('-') {
            None => return Some(place),
            Some("-") => return None,
            Some("h" | "-help") => {}
            Some(rest) if rest.contains('=') => {}
            Some(_) => place += 1,
        }
        place += 1;
    }
    None
}

enum Mistake {
    /// None: it was asked for.
    Help,
    Said(String),
}

fn scan(flags: &'static [Flag], arguments: &[String]) -> Result<HashMap<&'static str, Vec<String>>, Mistake> {
    let mut values: HashMap<&'static str, Vec<String>> = HashMap::new();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let Some(long) = argument.strip_prefix("--") else {
            match argument.strip_prefix('-').and_then(|rest| rest.chars().next()) {
                None => continue,
                Some('h') => return Err(Mistake::Help),
                Some(short) => {
                    let said = format!("unknown shorthand flag: {short:?} in {argument}");
                    return Err(Mistake::Said(said));
                }
            }
        };
        if long.is_empty() {
            break;
        }
        let (name, value) = match long.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (long, None),
        };
        if name.is_empty() || name.starts_with('-') {
            return Err(Mistake::Said(format!("bad flag syntax: {argument}")));
        }
        let Some(flag) = flags.iter().find(|flag| flag.name == name) else {
            return Err(match name {
                "help" => Mistake::Help,
                _ => Mistake::Said(format!("unknown flag: --{name}")),
            });
        };
        let value = match (value, flag.kind) {
            (Some(value), _) => value,
            (None, Kind::Bool) => "true".to_owned(),
            (None, _) => match arguments.next() {
                Some(value) => value.clone(),
                None => return Err(Mistake::Said(format!("flag needs an argument: --{name}"))),
            },
        };
        value::check(flag, &value).map_err(Mistake::Said)?;
        let all = values.entry(flag.name).or_default();
        if flag.kind != Kind::Strings {
            all.clear();
        }
        all.push(value);
    }
    Ok(values)
}

impl Given {
    /// The flags that were given and say something else than their defaults.
    pub fn set(&self) -> impl Iterator<Item = &'static Flag> {
        self.flags.iter().filter(|flag| {
            self.values.contains_key(flag.name)
                && value::plain(flag.kind, &self.text(flag.name)) != flag.default
        })
    }

    /// The same of one of them.
    pub fn is_set(&self, name: &str) -> bool {
        self.set().any(|flag| flag.name == name)
    }

    /// Several values of a list with commas between them.
    pub fn text(&self, name: &str) -> String {
        match self.values.get(name) {
            // As Go's package for CSV, to which an empty line is none.
            Some(values) => values
                .iter()
                .filter(|value| !value.is_empty())
                .map(String::as_str)
                .collect::<Vec<_>>()
                .join(","),
            None => self.flag(name).default.to_owned(),
        }
    }

    pub fn list(&self, name: &str) -> Vec<String> {
        let text = self.text(name);
        // As Go's package for CSV: no line, no values.
        let values = if text.is_empty() { Vec::new() } else { text.split(',').map(str::to_owned).collect() };
        values.into_iter().map(|value| value.trim_matches('"').to_owned()).collect()
    }

    pub fn bool(&self, name: &str) -> bool {
        value::parse_bool(&self.text(name)).expect("it was checked when it was read")
    }

    pub fn number(&self, name: &str) -> i64 {
        let number = value::parse_number(&self.text(name)).ok().and_then(|number| number.try_into().ok());
        number.expect("it was checked when it was read")
    }

    /// Negative ones count as zero.
    pub fn duration(&self, name: &str) -> Duration {
        duration::parse(&self.text(name)).expect("it was checked when it was read")
    }

    fn flag(&self, name: &str) -> &'static Flag {
        self.flags.iter().find(|flag| flag.name == name).expect("the table has every flag that is asked for")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn flag(name: &'static str, kind: Kind, default: &'static str) -> Flag {
        Flag::new(name, kind, default, Fate::Done, "help")
    }

    static GROUP: Group = Group {
        name: "grpc-proxy",
        about: "about",
        start: "start it",
        flags: &[
            flag("bool", Kind::Bool, "false"),
            flag("endpoints", Kind::Strings, "127.0.0.1:2379"),
            flag("number", Kind::Int, "0"),
            flag("pause", Kind::Duration, "1m0s"),
            Flag { fate: Fate::Refused("do without"), ..flag("prefix", Kind::Text, "") },
            flag("text", Kind::Text, ""),
            flag("u32", Kind::Uint32, "4294967295"),
        ],
    };

    fn read(line: &str) -> Result<Given, Exit> {
        let arguments: Vec<String> =
            line.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect();
        parse(&GROUP, &arguments)
    }

    fn error(line: &str) -> String {
        let exit = read(line).unwrap_err();
        assert!(exit.failed, "{line}");
        exit.text.lines().last().unwrap().to_owned()
    }

    #[test]
    fn values_stand_behind_a_space_or_an_equals_sign() {
        let given = read("start --text a --number=3 --bool --pause 1.5h extra --text --bool").unwrap();
        assert_eq!(given.text("text"), "--bool");
        assert_eq!((given.number("number"), given.bool("bool")), (3, true));
        assert_eq!(given.duration("pause"), Duration::from_secs(5400));
        assert_eq!(given.list("endpoints"), ["127.0.0.1:2379"]);
        let given = read("start --endpoints a,b --endpoints=c --bool=F --text=").unwrap();
        assert_eq!(given.list("endpoints"), ["a", "b", "c"]);
        assert!(!given.bool("bool") && !given.is_set("bool") && !given.is_set("text"));
        assert_eq!(read("start --endpoints= -- --bogus").unwrap().list("endpoints"), [""; 0]);
        assert_eq!(read("start --endpoints= --endpoints=c").unwrap().list("endpoints"), ["c"]);
        assert_eq!(read("--text x start").unwrap().text("text"), "x");
        assert!(!read("start --pause 60s --u32 4294967295").unwrap().is_set("pause"));
        let given = read("start --number -0x1f --u32 0xffff_ffff").unwrap();
        assert!(given.number("number") == -31 && !given.is_set("u32"));
    }

    #[test]
    fn mistakes_are_told_in_etcds_words() {
        for (line, expected) in [
            ("start --bogus", "unknown flag: --bogus"),
            ("start -x", "unknown shorthand flag: 'x' in -x"),
            ("start --text", "flag needs an argument: --text"),
            ("start --=a", "bad flag syntax: --=a"),
            (
                "start --number x",
                r#"invalid argument "x" for "--number" flag: strconv.ParseInt: parsing "x": invalid syntax"#,
            ),
            (
                "start --u32 -1",
                r#"invalid argument "-1" for "--u32" flag: strconv.ParseUint: parsing "-1": invalid syntax"#,
            ),
            (
                "start --u32 4294967296",
                r#"invalid argument "4294967296" for "--u32" flag: strconv.ParseUint: parsing "4294967296": value out of range"#,
            ),
            (
                "start --bool=maybe",
                r#"invalid argument "maybe" for "--bool" flag: strconv.ParseBool: parsing "maybe": invalid syntax"#,
            ),
            (
                "start --pause 5",
                r#"invalid argument "5" for "--pause" flag: time: missing unit in duration "5""#,
            ),
            ("--bogus", "unknown flag: --bogus"),
            ("start --prefix a", "--prefix a: do without"),
        ] {
            assert_eq!(error(line), expected, "{line}");
        }
    }

    #[test]
    fn help_is_no_failure() {
        for line in ["", "bogus", "--help", "-h", "start --help", "start --text a -h", "start --prefix="] {
            assert!(!read(line).is_err_and(|exit| exit.failed), "{line}");
        }
        let help = read("start --help").unwrap_err().text;
        assert!(help.contains("      --endpoints strings   help (default [127.0.0.1:2379])\n"), "{help}");
        assert!(help.contains("      --pause duration      help (default 1m0s)\n"), "{help}");
        assert!(help.contains("      --prefix string       not supported: do without\n"), "{help}");
    }
}
