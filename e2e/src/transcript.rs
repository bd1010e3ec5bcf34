//! The output of the demo and the benches on the terminal.

use std::time::Instant;

/// The output of a program, with the time since its start.
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
    /// Prints a heading.
    pub fn heading(&self, text: &str) {
        print(&format!("\n== {text}  [{:.1} s]", self.started.elapsed().as_secs_f64()));
    }

    /// Prints a line.
    pub fn line(&self, text: &str) {
        print(text);
    }

    /// Prints a command and its output.
    pub fn command(&self, line: &str, output: &str) {
        print(&format!("$ {line}"));
        for line in output.lines() {
            print(&format!("  {line}"));
        }
    }

    /// Returns the seconds since the start.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }
}

#[expect(clippy::print_stdout, reason = "this is the output of the program")]
fn print(line: &str) {
    println!("{line}");
}
