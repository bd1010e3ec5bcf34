//! A program with its arguments, environment and input, as a value.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

/// The default timeout of a command.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

/// An invocation of a program.
#[derive(Debug, Clone)]
pub struct Invocation {
    pub(super) program: PathBuf,
    pub(super) args: Vec<String>,
    pub(super) env: Vec<(String, String)>,
    pub(super) stdin: Vec<u8>,
    pub(super) timeout: Duration,
}

impl Invocation {
    /// Returns an invocation of `program`, which is searched in `PATH` unless it is a path.
    pub fn new(program: impl AsRef<Path>) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            args: Vec::new(),
            env: Vec::new(),
            stdin: Vec::new(),
            timeout: DEFAULT_TIMEOUT,
        }
    }

    /// Returns an invocation of the first word with the other words as arguments.
    pub fn of<S: AsRef<str>>(words: impl IntoIterator<Item = S>) -> Result<Self> {
        let mut words = words.into_iter();
        let program = words.next().context("a command needs a program")?;
        Ok(Self::new(program.as_ref()).args(words))
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<S: AsRef<str>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((key.into(), value.into()));
        self
    }

    /// Sets the standard input, which is empty by default.
    #[must_use]
    pub fn stdin(mut self, text: impl Into<Vec<u8>>) -> Self {
        self.stdin = text.into();
        self
    }

    /// Sets the timeout of [`run`](Self::run).
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Prepends `prefix`, a program that starts the command in its arguments.
    #[must_use]
    pub fn through<S: AsRef<str>>(self, prefix: &[S]) -> Self {
        let Some((first, rest)) = prefix.split_first() else {
            return self;
        };
        let mut args: Vec<String> = rest.iter().map(|word| word.as_ref().to_owned()).collect();
        args.push(self.program.to_string_lossy().into_owned());
        args.extend(self.args);
        Self { program: PathBuf::from(first.as_ref()), args, ..self }
    }
}

impl std::fmt::Display for Invocation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.program.display())?;
        self.args.iter().try_for_each(|arg| write!(f, " {arg}"))
    }
}
