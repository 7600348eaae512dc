//! Writes what is generated from the definition of lameduck's command line.
//!
//! ```text
//! cargo run -p lameduck-cli-reference -- --write-docs     writes docs/cli.md
//! cargo run -p lameduck-cli-reference -- DIR              writes DIR/man and DIR/completions
//! ```
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap_complete::Shell;

mod page;

/// The exit code for invalid usage, as that of lameduck.
const USAGE: u8 = 64;

/// The generated page, relative to this crate.
const PAGE: &str = "../../docs/cli.md";

/// The shells with completions.
const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Fish, Shell::Zsh];

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    let result = match args.as_slice() {
        [flag] if flag == "--write-docs" => fs::write(page_path(), page::render(page::documented())),
        [dir] if !dir.to_string_lossy().starts_with('-') => write_release_files(Path::new(dir)),
        _ => {
            print_error("expected --write-docs, or a directory for the man pages and completions");
            return ExitCode::from(USAGE);
        }
    };
    if let Err(error) = result {
        print_error(&format!("cannot write: {error}"));
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn print_error(message: &str) {
    let _ = writeln!(io::stderr(), "error: {message}");
}

fn page_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE)
}

/// Writes one man page per command, and one file of completions per shell.
fn write_release_files(dir: &Path) -> io::Result<()> {
    let (man, completions) = (dir.join("man"), dir.join("completions"));
    fs::create_dir_all(&man)?;
    fs::create_dir_all(&completions)?;
    clap_mangen::generate_to(page::documented(), man)?;
    for shell in SHELLS {
        clap_complete::generate_to(shell, &mut page::documented(), "lameduck", &completions)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn committed_page_is_up_to_date() {
        let committed = fs::read_to_string(page_path()).unwrap();
        let fix = "run: cargo run -p lameduck-cli-reference -- --write-docs";
        assert!(committed == page::render(page::documented()), "docs/cli.md differs from the command line; {fix}");
    }

    #[test]
    fn page_leaves_out_what_is_hidden() {
        let hidden = |name: &'static str| clap::Command::new(name).hide(true);
        let shown = clap::Command::new("shown").arg(clap::Arg::new("secret").long("secret").hide(true));
        let page = page::render(clap::Command::new("lameduck").subcommands([shown, hidden("internal")]));
        assert!(page.contains("## lameduck shown") && !page.contains("internal") && !page.contains("secret"), "{page}");
    }

    #[test]
    fn release_files_name_every_command() {
        let dir = std::env::temp_dir().join(format!("lameduck-cli-reference-{}", std::process::id()));
        write_release_files(&dir).unwrap();
        let command = page::documented();
        let shown = command.get_subcommands().filter(|command| !command.is_hide_set());
        let commands: Vec<String> = shown.map(|command| command.get_name().to_owned()).collect();
        let files = fs::read_dir(dir.join("man")).unwrap().map(|entry| entry.unwrap().file_name());
        let expected = commands.iter().map(|name| format!("lameduck-{name}.1").into());
        assert_eq!(files.collect::<BTreeSet<_>>(), expected.chain(["lameduck.1".into()]).collect());
        for file in ["lameduck.bash", "lameduck.fish", "_lameduck"] {
            let text = fs::read_to_string(dir.join("completions").join(file)).unwrap();
            assert!(commands.iter().all(|name| text.contains(name.as_str())), "{file}");
            assert!(text.contains("grace-period"), "{file}");
        }
        fs::remove_dir_all(dir).unwrap();
    }
}
