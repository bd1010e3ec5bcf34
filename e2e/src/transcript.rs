//! Tells the person at the terminal what happens, in the order in which it does.
//!
//! It runs nothing and decides nothing; programs that nobody watches have logs instead.

use std::time::Instant;

/// A voice that knows how long it has been speaking.
#[derive(Debug)]
pub struct Transcript {
    started: Instant,
}

impl Default for Transcript {
    fn default() -> Self {
        Self { started: Instant::now() }
    }
}

impl Transcript {
    /// A new part of the story.
    pub fn heading(&self, text: &str) {
        print(&format!("\n== {text}  [{:.1} s]", self.started.elapsed().as_secs_f64()));
    }

    /// A sentence.
    pub fn say(&self, text: &str) {
        print(text);
    }

    /// A command as someone would type it, and what it answered.
    pub fn command(&self, line: &str, output: &str) {
        print(&format!("$ {line}"));
        for line in output.lines() {
            print(&format!("  {line}"));
        }
    }

    /// How many seconds it has been speaking.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }
}

#[expect(clippy::print_stdout, reason = "this is what the person who runs it has come to read")]
fn print(line: &str) {
    println!("{line}");
}
