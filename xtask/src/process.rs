//! Running other programs: printed before they run, with readable failures.

use anyhow::{Context, Result, bail};
use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// One call of another program.
pub struct Call {
    program: OsString,
    arguments: Vec<OsString>,
    command: Command,
}

/// A call of `program`, found on the PATH.
pub fn call<A: AsRef<OsStr>>(program: impl AsRef<OsStr>, arguments: impl IntoIterator<Item = A>) -> Call {
    let mut command = Command::new(&program);
    let arguments: Vec<OsString> = arguments.into_iter().map(|argument| argument.as_ref().to_owned()).collect();
    command.args(&arguments);
    Call { program: program.as_ref().to_owned(), arguments, command }
}

/// A call of the cargo that runs xtask.
pub fn cargo<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Call {
    call(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()), arguments)
}

/// A call of a command line program of an npm package in `node_modules`. Runs its JavaScript with Node.js directly, so
/// it does not depend on a shell or on the links in `node_modules/.bin`.
pub fn npm_bin<A: AsRef<OsStr>>(script: &str, arguments: impl IntoIterator<Item = A>) -> Call {
    let script = Path::new("node_modules").join(script).into_os_string();
    let arguments = arguments.into_iter().map(|argument| argument.as_ref().to_owned());
    call("node", std::iter::once(script).chain(arguments))
}

impl Call {
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub fn envs(mut self, variables: &[(String, OsString)]) -> Self {
        self.command.envs(variables.iter().map(|(name, value)| (name, value)));
        self
    }

    pub fn without_envs(mut self, names: &[String]) -> Self {
        for name in names {
            self.command.env_remove(name);
        }
        self
    }

    /// Prints the call, runs it with its output on the terminal, and fails if it fails.
    pub fn run(mut self) -> Result<()> {
        self.announce();
        let status = self.command.status().with_context(|| self.cannot_start())?;
        if !status.success() {
            bail!("`{}` failed ({status})", self.line());
        }
        Ok(())
    }

    /// Runs quietly and returns standard output; fails with standard error in the message.
    pub fn stdout(mut self) -> Result<String> {
        let output = self.command.stdin(Stdio::null()).output().with_context(|| self.cannot_start())?;
        if !output.status.success() {
            let message = String::from_utf8_lossy(&output.stderr);
            bail!("`{}` failed ({}):\n{}", self.line(), output.status, message.trim_end());
        }
        String::from_utf8(output.stdout).with_context(|| format!("`{}` printed text that is not UTF-8", self.line()))
    }

    /// Prints the call and runs it with standard output both shown and returned, and whether it succeeded.
    pub fn tee(mut self) -> Result<(String, bool)> {
        self.announce();
        let mut child =
            self.command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().with_context(|| self.cannot_start())?;
        let mut text = String::new();
        if let Some(stdout) = child.stdout.take() {
            let mut reader = BufReader::new(stdout);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line)? > 0 {
                std::io::stdout().write_all(&line)?;
                text.push_str(&String::from_utf8_lossy(&line));
                line.clear();
            }
        }
        let status = child.wait()?;
        Ok((text, status.success()))
    }

    fn announce(&self) {
        println!("$ {}", self.line());
    }

    fn cannot_start(&self) -> String {
        format!("cannot start `{}`", self.program.to_string_lossy())
    }

    /// The call as one would type it: programs by name, not by their full path.
    fn line(&self) -> String {
        let program = Path::new(&self.program).file_name().unwrap_or(&self.program);
        let words = std::iter::once(program).chain(self.arguments.iter().map(OsString::as_os_str));
        words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
    }
}

/// The full path of a program on the PATH.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let name = format!("{program}{}", std::env::consts::EXE_SUFFIX);
    std::env::split_paths(&path).map(|folder| folder.join(&name)).find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::{call, find};

    #[test]
    fn a_failing_program_is_an_error_that_quotes_its_message() {
        let error = call("cargo", ["no-such-subcommand"]).stdout().expect_err("fails");
        assert!(format!("{error:#}").contains("no-such-subcommand"), "{error:#}");
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = call("no-such-program", ["x"]).stdout().expect_err("fails");
        assert!(format!("{error:#}").contains("cannot start `no-such-program`"), "{error:#}");
        assert!(find("no-such-program").is_none());
    }

    #[test]
    fn output_is_shown_and_returned() {
        let (text, success) = call("cargo", ["--version"]).tee().expect("runs");
        assert!(success && text.starts_with("cargo "), "{text}");
    }
}
