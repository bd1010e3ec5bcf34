//! What the store has reported about each volume, and its comparison with what is found after a
//! power cut.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Display, Formatter};

/// All reports.
#[derive(Debug, Default)]
pub(super) struct Story {
    volumes: BTreeMap<(String, String), Reported>,
    answers: usize,
    returns: usize,
    looks: usize,
}

/// The reports about one volume.
#[derive(Clone, Debug, Default)]
struct Reported {
    /// The volume was created.
    made: bool,
    /// The tenant has synced a file.
    wrote: bool,
    /// The volume is restorable after its deletion.
    keeps: bool,
    /// The reported size, and the largest that was requested.
    bytes: u64,
    most: u64,
    end: End,
}

/// The state of a volume's deletion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum End {
    #[default]
    NotAsked,
    Asked,
    /// The volume was deleted, or is restorable in the trash.
    Gone,
    /// A restore was requested.
    Returning,
}

/// A volume as it was found.
#[derive(Clone, Debug)]
struct Found {
    bytes: u64,
    proof: bool,
    trashed: bool,
}

impl Story {
    /// Reads the output of a guest from its start to its end. Returns the problems.
    pub(super) fn read(&mut self, said: &str) -> Vec<String> {
        let mut problems: Vec<String> =
            said.lines().filter(|line| line.starts_with("FAILED")).map(str::to_owned).collect();
        let mut found = BTreeMap::new();
        let mut looked = BTreeSet::new();
        // The power cut may have cut the last line.
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
                    self.record((key(disk, id), verb), bytes.parse().unwrap_or(0));
                }
                _ => {}
            }
        }
        if looked.len() != super::inside::DISKS.len() {
            problems.push(format!("only {looked:?} were looked at"));
        }
        problems
    }

    fn record(&mut self, (key, verb): ((String, String), &str), bytes: u64) {
        let reported = self.volumes.entry(key).or_default();
        match verb {
            "making" | "growing" => reported.most = reported.most.max(bytes),
            "keeping" => reported.keeps = true,
            "returning" => reported.end = End::Returning,
            "returned" => reported.end = End::NotAsked,
            "made" => (reported.made, reported.bytes) = (true, bytes),
            "wrote" => reported.wrote = true,
            "grew" => reported.bytes = bytes,
            "discarding" => reported.end = End::Asked,
            "discarded" => reported.end = End::Gone,
            _ => return,
        }
        self.returns += usize::from(verb == "returned");
        self.answers += usize::from(verb.ends_with('d') || verb == "grew" || verb == "wrote");
    }

    /// Compares what was found on a disk with the reports. What is found replaces them.
    fn compare(&mut self, disk: &str, found: &BTreeMap<(String, String), Found>) -> Vec<String> {
        let mut problems = Vec::new();
        for (key, reported) in self.volumes.iter_mut().filter(|((on, _), _)| on == disk) {
            let here = found.get(key);
            problems.extend(reported.agrees(here).err().map(|what| format!("{key:?}: {what}")));
            match here {
                Some(here) => *reported = reported.clone().found(here),
                None => *reported = Reported { end: End::Gone, ..reported.clone() },
            }
        }
        let unheard = found.keys().filter(|key| key.0 == disk && !self.volumes.contains_key(*key));
        problems.extend(unheard.map(|key| format!("{key:?} was never requested")));
        problems
    }

    /// Returns the number of reports that must stay true.
    pub(super) fn answers(&self) -> usize {
        self.answers
    }

    /// Returns the volumes that are not reported as deleted at the end.
    pub(super) fn ended(&self) -> Vec<&(String, String)> {
        let left =
            self.volumes.iter().filter(|(_, reported)| reported.made && reported.end != End::Gone);
        left.map(|(key, _)| key).collect()
    }
}

impl Reported {
    /// Returns the reports that agree with what was found.
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
            (true, _) if !self.keeps => return Err("it is restorable".to_owned()),
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
        write!(f, "{volumes} volumes, {answers} answers, {returns} recovered, {looks} looks")
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
        assert!(story.read(&format!("{looks}{before}\n")).is_empty());
        let problems = story.read(&format!("{after}\n{looks}"));
        problems.len()
    }

    #[test]
    fn a_completed_operation_must_be_found_and_a_started_one_may_be() {
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
    fn sizes_files_and_deletions_must_be_as_reported() {
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
