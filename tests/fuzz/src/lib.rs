//! Every function that reads untrusted input, with a name. `cargo xtask fuzz` gives each of them
//! millions of inputs, guided by the code that they reach. The tests below use a few thousand
//! inputs, the same ones in each run.

mod symbols;

pub use worker_sentry::hostile::Reader;

/// All readers: those of the crate, and those of the symbols tool.
pub fn readers() -> impl Iterator<Item = (&'static str, Reader)> {
    let of_the_crate = worker_sentry::hostile::READERS;
    of_the_crate.into_iter().chain(symbols::READERS)
}

/// The reader with this name.
pub fn reader(name: &str) -> Option<Reader> {
    readers().find_map(|(other, reader)| (other == name).then_some(reader))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::{Path, PathBuf};

    fn corpus() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
    }

    fn inputs(name: &str) -> Vec<Vec<u8>> {
        let folder = corpus().join(name);
        let files = fs::read_dir(&folder).unwrap_or_else(|_| panic!("no corpus of {name}"));
        let mut files = Vec::from_iter(files.map(|file| file.unwrap().path()));
        files.sort();
        files.iter().map(|file| fs::read(file).unwrap()).collect()
    }

    /// Pseudo-random numbers, the same in each run.
    struct Numbers(u64);

    impl Numbers {
        fn below(&mut self, end: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 >> 16) as usize % end.max(1)
        }

        /// Changes an input: changes, removes or adds a byte, repeats or cuts off a piece, or
        /// inserts a piece of another input.
        fn change(&mut self, input: &mut Vec<u8>, other: &[u8]) {
            let at = self.below(input.len() + 1);
            let end = (at + self.below(24)).min(input.len());
            let byte = self.below(256) as u8;
            match self.below(7) {
                0 if at < input.len() => input[at] = byte,
                1 if at < input.len() => input[at] ^= 1 << (byte & 7),
                2 => drop(input.drain(at..end)),
                3 => input.insert(at, byte),
                4 => drop(input.splice(at..at, input[at..end].to_vec())),
                5 => input.truncate(at),
                _ => {
                    let from = self.below(other.len() + 1);
                    let to = (from + self.below(24)).min(other.len());
                    drop(input.splice(at..end, other[from..to].iter().copied()));
                }
            }
        }
    }

    #[test]
    fn no_reader_panics_at_its_corpus_or_at_thousands_of_changes_to_it() {
        for (name, reader) in readers() {
            let inputs = inputs(name);
            assert!(!inputs.is_empty(), "{name}");
            reader(&[]);
            for input in &inputs {
                reader(input);
            }
            let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
            for _ in 0..2_000 {
                let mut input = inputs[numbers.below(inputs.len())].clone();
                let other = &inputs[numbers.below(inputs.len())];
                for _ in 0..=numbers.below(6) {
                    numbers.change(&mut input, other);
                }
                reader(&input);
            }
        }
    }

    #[test]
    fn no_reader_panics_at_random_bytes() {
        for (_, reader) in readers() {
            let mut numbers = Numbers(0x2545_f491_4f6c_dd1d);
            for _ in 0..1_000 {
                let length = numbers.below(300);
                let input = Vec::from_iter((0..length).map(|_| numbers.below(256) as u8));
                reader(&input);
            }
        }
    }

    #[test]
    fn each_reader_has_a_corpus_and_each_corpus_a_reader() {
        let folders = fs::read_dir(corpus()).unwrap();
        let folders = folders.map(|it| it.unwrap().file_name().into_string().unwrap());
        let folders = BTreeSet::from_iter(folders);
        let names = BTreeSet::from_iter(readers().map(|(name, _)| name.to_owned()));
        assert_eq!(folders, names);
    }
}
