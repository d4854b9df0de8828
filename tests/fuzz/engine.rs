//! Mutates inputs until the time is up.

use std::any::Any;
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// One parser under test.
pub(super) struct Target {
    /// Its folder in the corpus.
    pub name: &'static str,
    /// Pieces that mean something to it.
    pub words: &'static [&'static [u8]],
}

impl Target {
    /// Runs `check` on mutated inputs. What it returns says what it did: inputs that made it do
    /// something new are mutated further.
    pub fn run<T: Hash>(&self, check: impl Fn(&[u8]) -> T) {
        let mut random = fastrand::Rng::new();
        let mut inputs = self.corpus();
        assert!(!inputs.is_empty(), "{}: no corpus", self.name);
        let mut seen = HashSet::new();
        let until = Instant::now() + limit();
        let mut rounds = 0_u64;
        for input in &inputs {
            seen.insert(self.check(input, &check));
        }
        while Instant::now() < until {
            let input = self.mutated(&inputs, &mut random);
            if seen.insert(self.check(&input, &check)) && inputs.len() < INPUTS_MAX {
                inputs.push(input);
            }
            rounds += 1;
        }
        println!("{}: {rounds} inputs, {} of them did something new", self.name, seen.len());
        // A second of the slowest target on a busy machine.
        assert!(rounds > 100, "{}: only {rounds} inputs", self.name);
    }

    fn check<T: Hash>(&self, input: &[u8], check: &impl Fn(&[u8]) -> T) -> u64 {
        let (did, mut took) = self.timed(input, check);
        if took >= SLOW {
            // What is slow by itself is slow again; a busy machine is not.
            took = (0..2).map(|_| self.timed(input, check).1).min().unwrap_or(took);
            assert!(took < SLOW, "{}: took {took:?}\n{}", self.name, self.keep(input));
        }
        let mut hasher = DefaultHasher::new();
        did.hash(&mut hasher);
        hasher.finish()
    }

    fn timed<T>(&self, input: &[u8], check: &impl Fn(&[u8]) -> T) -> (T, Duration) {
        let begun = Instant::now();
        let did = catch_unwind(AssertUnwindSafe(|| check(input))).unwrap_or_else(|why| {
            panic!("{}: {}\n{}", self.name, told(why.as_ref()), self.keep(input));
        });
        (did, begun.elapsed())
    }

    fn corpus(&self) -> Vec<Vec<u8>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(self.name);
        let entries = std::fs::read_dir(&folder).expect("each target has a folder of inputs");
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("it can be listed").path()).collect();
        paths.sort();
        paths.iter().map(|path| std::fs::read(path).expect("it can be read")).collect()
    }

    /// Where the input was written to, and the input itself.
    fn keep(&self, input: &[u8]) -> String {
        let path = std::env::temp_dir().join(format!("etcdlet-fuzz-{}", self.name));
        let kept = std::fs::write(&path, input)
            .map_or_else(|error| error.to_string(), |()| path.display().to_string());
        format!("kept in {kept}: b\"{}\"", input.escape_ascii())
    }

    fn mutated(&self, inputs: &[Vec<u8>], random: &mut fastrand::Rng) -> Vec<u8> {
        let mut input = inputs[random.usize(..inputs.len())].clone();
        for _ in 0..random.usize(1..6) {
            let at = random.usize(..=input.len());
            let end = (at + random.usize(..16)).min(input.len());
            match random.u8(..9) {
                0 if at < input.len() => input[at] ^= 1 << random.u8(..8),
                1 if at < input.len() => input[at] = random.u8(..),
                2 if at < input.len() => input[at] = *random.choice(&ODD).expect("it is not empty"),
                3 => drop(input.drain(at..end)),
                4 => drop(input.splice(at..at, [random.u8(..)])),
                5 => drop(input.splice(at..at, input[at..end].to_vec())),
                6 => input.truncate(at),
                7 if !self.words.is_empty() => {
                    let word = random.choice(self.words).expect("it is not empty");
                    drop(input.splice(at..end, word.iter().copied()));
                }
                _ => {
                    let other = &inputs[random.usize(..inputs.len())];
                    let from = random.usize(..=other.len());
                    drop(input.splice(at.., other[from..].iter().copied()));
                }
            }
        }
        input.truncate(INPUT_MAX);
        input
    }
}

fn limit() -> Duration {
    let seconds =
        std::env::var("ETCDLET_FUZZ_SECONDS").map_or(1, |text| text.parse().expect("a number of seconds"));
    Duration::from_secs(seconds)
}

fn told(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without a text")
}

/// At which parsers turn.
const ODD: [u8; 10] = [0, 1, 0x7f, 0x80, 0xff, b'\n', b'"', b'{', b'0', b'.'];

/// Nothing that a parser of ours reads takes as long, on the slowest machine.
const SLOW: Duration = Duration::from_secs(1);

const INPUTS_MAX: usize = 20_000;

const INPUT_MAX: usize = 4096;
