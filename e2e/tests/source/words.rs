//! The wording of code and documents: words that a reader of this field stumbles over, and the
//! words to write instead.
//!
//! The words to use are those of Kubernetes, Linux, TLS and HTTP; the glossary of CONTRIBUTING.md
//! has fastrak's own. This test reads names, comments and texts of Rust files, whole documents, the
//! messages of policies, and the comments of all other files.

use crate::tree::{self, File};

/// This file, which names what it bans.
const OWN: &str = "e2e/tests/source/words.rs";

/// Banned words and phrases, and what to write instead.
const BANNED: [(&str, &str); 57] = [
    ("anew", "again"),
    ("are to be", "must be, or the present tense"),
    ("authorities", "CAs"),
    ("authority", "CA"),
    ("begun with", "started with"),
    ("corridor", "the thing itself"),
    ("courtesy", "delay"),
    ("crowd", "connection table, many volumes"),
    ("desk", "handler"),
    ("farewell", "eviction grace"),
    ("furniture", "infrastructure"),
    ("gave way", "was evicted"),
    ("give way", "are evicted"),
    ("gives way", "is evicted"),
    ("guest", "connection"),
    ("guests", "connections"),
    ("had back", "recovered"),
    ("has ended", "has expired, has exited"),
    ("haste", "trash signals"),
    ("have back", "recover"),
    ("have ended", "have expired, have exited"),
    ("house", "server state"),
    ("houses", "server states"),
    ("impostor", "impersonator"),
    ("in vain", "without effect"),
    ("is to be", "must be, or the present tense"),
    ("manners", "limits"),
    ("mend", "repair"),
    ("mended", "repaired"),
    ("mender", "repair controller"),
    ("mending", "repair"),
    ("mends", "repairs"),
    ("of it alone", "only of it"),
    ("parting", "trash metadata"),
    ("put right", "repaired"),
    ("puts right", "repairs"),
    ("reap", "remove"),
    ("reaper", "remover"),
    ("reaps", "removes"),
    ("recipe", "spec"),
    ("recipes", "specs"),
    ("registration", "webhook configuration"),
    ("registrations", "webhook configurations"),
    ("scribe", "event writer"),
    ("seated", "accepted"),
    ("tell", "say, report, distinguish"),
    ("telling", "reporting"),
    ("tells", "says, reports"),
    ("tend", "reconcile"),
    ("tends", "reconciles"),
    ("to no avail", "without effect"),
    ("told", "said, reported; the output, the message"),
    ("whatever", "any, all"),
    ("whereabouts", "location"),
    ("whichever", "the one that"),
    ("whoever", "the client, the user, the one that"),
    ("whosoever", "the one that"),
];

/// Uses of a banned word that stay: the phrase around it, the start of the path (empty for all
/// files), and the reason.
const EXCEPTIONS: [(&str, &str, &str); 9] = [
    (
        "certificate authority",
        "",
        "RFC 5280's term, a field of kubeconfigs and a flag of the API server",
    ),
    ("authority key identifier", "", "an extension of RFC 5280"),
    ("unknown authority", "", "the message of Go's TLS client"),
    ("authority certificate", "", "the same"),
    ("guest", "testkit/src/uml", "the term of virtual machines"),
    ("guest", "testkit/tests/guest.rs", "the term of virtual machines"),
    ("guest", "store/tests/filesystems/", "the term of virtual machines"),
    ("reaps", "testkit/src/nodes/", "Linux's term for reading the exit status of a child"),
    ("reaper", "testkit/src/nodes/", "Linux's term for the process that does so"),
];

/// The keys in YAML files whose values are messages for users.
const MESSAGES: [&str; 2] = ["message:", "messageExpression:"];

/// A word in lower case, and the line that it is on.
struct Word {
    line: usize,
    text: String,
}

/// Splits a text at everything that is no letter, and names at their capitals.
fn words(text: &str) -> Vec<Word> {
    let mut words = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let mut word = String::new();
        let mut letters = line.chars().peekable();
        let mut before = ' ';
        while let Some(letter) = letters.next() {
            let next_is_small = letters.peek().is_some_and(char::is_ascii_lowercase);
            let begins = letter.is_uppercase() && (before.is_lowercase() || next_is_small);
            if !letter.is_alphabetic() || begins {
                take(&mut words, at + 1, &mut word);
            }
            if letter.is_alphabetic() {
                word.extend(letter.to_lowercase());
            }
            before = letter;
        }
        take(&mut words, at + 1, &mut word);
    }
    words
}

fn take(words: &mut Vec<Word>, line: usize, word: &mut String) {
    if !word.is_empty() {
        words.push(Word { line, text: std::mem::take(word) });
    }
}

/// Returns the text of a file that is checked, with its line breaks.
fn checked(file: &File) -> String {
    if file.path.ends_with(".rs") || file.path.ends_with(".md") {
        return file.text.clone();
    }
    let mut text = String::new();
    // The column of the key whose value is a message, while the lines belong to it.
    let mut message = None;
    for line in file.text.lines() {
        let start = line.trim_start();
        let key = start.strip_prefix("- ").unwrap_or(start);
        let column = line.len() - key.len();
        if MESSAGES.iter().any(|name| key.starts_with(name)) {
            message = Some(column);
        } else if message.is_some_and(|of_key| column <= of_key) {
            message = None;
        }
        if message.is_some() {
            text.push_str(key);
            text.push('\n');
            continue;
        }
        let is_comment = line.trim_start().starts_with('#');
        let comment =
            if is_comment { Some(line) } else { line.split_once(" #").map(|(_, end)| end) };
        text.push_str(comment.unwrap_or_default());
        text.push('\n');
    }
    text
}

/// Returns the places at which a phrase occurs, as indices of its first word.
fn places(words: &[Word], phrase: &str) -> Vec<usize> {
    let phrase: Vec<_> = phrase.split(' ').collect();
    let is_it = |window: &[Word]| window.iter().zip(&phrase).all(|(word, part)| word.text == *part);
    let windows = words.windows(phrase.len()).enumerate();
    windows.filter(|(_, window)| is_it(window)).map(|(at, _)| at).collect()
}

/// Returns the banned words of a file, each with its line and what to write instead.
fn judge(file: &File) -> Vec<String> {
    let words = words(&checked(file));
    let mut found = Vec::new();
    for (banned, instead) in BANNED {
        let length = banned.split(' ').count();
        for at in places(&words, banned) {
            let is_exception = EXCEPTIONS.iter().any(|(phrase, path, _)| {
                let around = phrase.split(' ').count();
                let covers = |start: &usize| *start <= at && at + length <= start + around;
                file.path.starts_with(path) && places(&words, phrase).iter().any(covers)
            });
            if !is_exception {
                let line = words[at].line;
                found.push(format!("{}:{line}: {banned:?}: write {instead}", file.path));
            }
        }
    }
    found
}

#[test]
fn no_banned_word_is_used() {
    let is_input = |file: &File| file.path.starts_with("fuzz/corpus/") || file.path == OWN;
    let files = tree::below("").into_iter().filter(|file| !is_input(file));
    let found: Vec<_> = files.flat_map(|file| judge(&file)).collect();
    assert!(found.is_empty(), "{} banned words:\n{}", found.len(), found.join("\n"));
}

#[test]
fn a_banned_word_is_found_in_names_in_comments_and_across_lines() {
    let found = |path: &str, text: &str| {
        let file = File { path: path.to_owned(), text: text.to_owned() };
        judge(&file).len()
    };
    let rust = "//! It is\n//! to be done.\nfn is_told() {}\nstruct HttpMender;\n\"tells\"";
    assert_eq!(found("a.rs", rust), 4);
    assert_eq!(found("a.rs", "a retold story of Mendel, and a CertificateAuthority"), 0);
    assert_eq!(found("a.yaml", "told: told # told\n# told"), 2);
    assert_eq!(found("a.md", "Told"), 1);
    let yaml = "- expression: told\n  message: >-\n    it is\n    to be so\n  reason: told";
    assert_eq!(found("a.yaml", yaml), 1);
    assert_eq!(found("a.yaml", "- message: told\n- reason: told"), 1);
}
