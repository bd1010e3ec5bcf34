//! What the store has said of each volume so far, and whether what is found after a cut agrees.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Display, Formatter};

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Story {
    volumes: BTreeMap<(String, String), Told>,
    answers: usize,
    returns: usize,
    looks: usize,
}

/// What is known of one volume.
#[derive(Clone, Debug, Default)]
struct Told {
    /// It was said to be there.
    made: bool,
    /// Its tenant has synced a file.
    wrote: bool,
    /// It can be had back when it was asked to go.
    keeps: bool,
    /// The size that it was said to have, and the largest that was asked for.
    bytes: u64,
    most: u64,
    end: End,
}

/// How far a volume is from its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum End {
    #[default]
    NotAsked,
    Asked,
    /// It was said to be gone, or to be in the trash where it can be had back.
    Gone,
    /// It was asked to come back from there.
    Returning,
}

/// What was found of one volume.
#[derive(Clone, Debug)]
struct Found {
    bytes: u64,
    proof: bool,
    trashed: bool,
}

impl Story {
    /// Goes on with what a guest has said from its start to its end; what was wrong with it.
    pub(super) fn go_on(&mut self, said: &str) -> Vec<String> {
        let mut problems: Vec<String> =
            said.lines().filter(|line| line.starts_with("FAILED")).map(str::to_owned).collect();
        let mut found = BTreeMap::new();
        let mut looked = BTreeSet::new();
        // What the power cut through says nothing.
        let whole = said.rfind('\n').map_or("", |end| &said[..end]);
        for line in whole.lines() {
            let words: Vec<_> = line.split(' ').collect();
            match words.as_slice() {
                ["fact", disk, place @ ("found" | "trashed"), id, bytes, proof] => {
                    let (bytes, proof) = (bytes.parse().unwrap_or(0), *proof == "proof");
                    let here = Found { bytes, proof, trashed: *place == "trashed" };
                    let other = found.insert(key(disk, id), here);
                    problems.extend(other.map(|_| format!("{id} is there twice")));
                }
                ["fact", disk, "looked"] => {
                    looked.insert((*disk).to_owned());
                    self.looks += 1;
                    problems.extend(self.compare(disk, &found));
                }
                ["fact", disk, verb, id, bytes] => {
                    self.hear((key(disk, id), verb), bytes.parse().unwrap_or(0));
                }
                _ => {}
            }
        }
        if looked.len() != super::inside::DISKS.len() {
            problems.push(format!("only {looked:?} were looked at"));
        }
        problems
    }

    fn hear(&mut self, (key, verb): ((String, String), &str), bytes: u64) {
        let told = self.volumes.entry(key).or_default();
        match verb {
            "making" | "growing" => told.most = told.most.max(bytes),
            "keeping" => told.keeps = true,
            "returning" => told.end = End::Returning,
            "returned" => told.end = End::NotAsked,
            "made" => (told.made, told.bytes) = (true, bytes),
            "wrote" => told.wrote = true,
            "grew" => told.bytes = bytes,
            "discarding" => told.end = End::Asked,
            "discarded" => told.end = End::Gone,
            _ => return,
        }
        self.returns += usize::from(verb == "returned");
        self.answers += usize::from(verb.ends_with('d') || verb == "grew" || verb == "wrote");
    }

    /// What was found on a disk, against what was said. What is found is what is known from then on.
    fn compare(&mut self, disk: &str, found: &BTreeMap<(String, String), Found>) -> Vec<String> {
        let mut problems = Vec::new();
        for (key, told) in self.volumes.iter_mut().filter(|((on, _), _)| on == disk) {
            let here = found.get(key);
            problems.extend(told.agrees(here).err().map(|what| format!("{key:?}: {what}")));
            match here {
                Some(here) => *told = told.clone().found(here),
                None => *told = Told { end: End::Gone, ..told.clone() },
            }
        }
        let unheard = found.keys().filter(|key| key.0 == disk && !self.volumes.contains_key(*key));
        problems.extend(unheard.map(|key| format!("{key:?} was never asked for")));
        problems
    }

    /// How often something was answered that must be true for ever.
    pub(super) fn answers(&self) -> usize {
        self.answers
    }

    /// What should be gone at the end and is not said to be.
    pub(super) fn ended(&self) -> Vec<&(String, String)> {
        let left = self.volumes.iter().filter(|(_, told)| told.made && told.end != End::Gone);
        left.map(|(key, _)| key).collect()
    }
}

impl Told {
    /// What is known of it when it was found so.
    fn found(self, found: &Found) -> Self {
        let end = if found.trashed { End::Gone } else { End::NotAsked };
        Self { made: true, bytes: found.bytes, end, ..self }
    }

    fn agrees(&self, found: Option<&Found>) -> Result<(), String> {
        let Some(found) = found else {
            return match self.made && (self.keeps || self.end == End::NotAsked) {
                true => Err("it was made, and is gone".to_owned()),
                false => Ok(()),
            };
        };
        match (found.trashed, self.end) {
            (true, End::NotAsked) => return Err("it is in the trash".to_owned()),
            (false, End::Gone) => return Err("it was gone, and is there again".to_owned()),
            (true, _) if !self.keeps => return Err("it can be had back".to_owned()),
            (_, _) => {}
        }
        if !(self.bytes..=self.most.max(self.bytes)).contains(&found.bytes) {
            return Err(format!("it is {} bytes large, and was {}", found.bytes, self.bytes));
        }
        match self.wrote && !found.proof {
            true => Err("what its tenant has synced is gone".to_owned()),
            false => Ok(()),
        }
    }
}

impl Display for Story {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let Self { answers, returns, looks, .. } = self;
        let volumes = self.volumes.len();
        write!(f, "{volumes} volumes, {answers} answers, {returns} had back, {looks} looks")
    }
}

fn key(disk: &str, id: &str) -> (String, String) {
    (disk.to_owned(), id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(before: &str, after: &str) -> usize {
        let mut story = Story::default();
        let looks = "fact xfs looked\nfact ext4 looked\nfact btrfs looked\n";
        assert!(story.go_on(&format!("{looks}{before}\n")).is_empty());
        let problems = story.go_on(&format!("{after}\n{looks}"));
        problems.len()
    }

    #[test]
    fn what_was_answered_must_be_found_and_what_was_asked_may_be() {
        let made = "fact xfs making a 5\nfact xfs made a 5";
        for (before, after, wrong) in [
            (made, "fact xfs found a 5 none", 0),
            (made, "", 1),
            (made, "fact ext4 found a 5 none", 2),
            ("fact xfs making a 5", "", 0),
            ("fact xfs making a 5", "fact xfs found a 5 none", 0),
            ("", "fact xfs found a 5 none", 1),
        ] {
            assert_eq!(problems(before, after), wrong, "{before:?}, then {after:?}");
        }
    }

    #[test]
    fn sizes_files_and_ends_must_be_as_they_were_said() {
        let made = "fact xfs making a 5\nfact xfs made a 5\n";
        for (before, after, wrong) in [
            ("fact xfs growing a 7", "fact xfs found a 5 none", 0),
            ("fact xfs growing a 7", "fact xfs found a 7 none", 0),
            ("fact xfs growing a 7\nfact xfs grew a 7", "fact xfs found a 5 none", 1),
            ("fact xfs wrote a 0", "fact xfs found a 5 proof", 0),
            ("fact xfs wrote a 0", "fact xfs found a 5 none", 1),
            ("fact xfs discarding a 0", "", 0),
            ("fact xfs discarding a 0", "fact xfs found a 5 none", 0),
            ("fact xfs discarding a 0\nfact xfs discarded a 0", "", 0),
            ("fact xfs discarding a 0\nfact xfs discarded a 0", "fact xfs found a 5 none", 1),
            ("fact xfs discarding a 0", "fact xfs trashed a 5 none", 1),
            ("fact xfs keeping a 0", "fact xfs trashed a 5 none", 1),
            ("fact xfs keeping a 0\nfact xfs discarding a 0", "fact xfs trashed a 5 none", 0),
            ("fact xfs keeping a 0\nfact xfs discarding a 0", "fact xfs found a 5 none", 0),
            ("fact xfs keeping a 0\nfact xfs discarding a 0", "", 1),
            ("fact xfs keeping a 0\nfact xfs discarded a 0", "fact xfs found a 5 none", 1),
            ("fact xfs keeping a 0\nfact xfs returning a 0", "fact xfs trashed a 5 none", 0),
            ("fact xfs keeping a 0\nfact xfs returned a 0", "fact xfs trashed a 5 none", 1),
            // The power failed in the middle of a line.
            ("fact xfs discarded a", "fact xfs found a 5 none", 0),
        ] {
            assert_eq!(problems(&format!("{made}{before}"), after), wrong, "{before}, {after}");
        }
    }
}
