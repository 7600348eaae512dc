//! The process that answers what Prometheus' parsers say.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

pub struct Filter {
    process: Child,
    input: Option<ChildStdin>,
    output: ChildStdout,
}

impl Filter {
    pub fn start(program: &str) -> Self {
        let mut command = Command::new(program);
        // Each worker has its own.
        command.env("GOMAXPROCS", "1").env("GOGC", "400").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("the filter starts");
        let output = process.stdout.take().expect("stdout is piped");
        Self { input: process.stdin.take(), output, process }
    }

    /// Sends a request and returns the answer.
    pub fn ask(&mut self, request: &[u8]) -> Vec<u8> {
        let length = u32::try_from(request.len()).expect("a request is short").to_le_bytes();
        let input = self.input.as_mut().expect("stdin is open until the end");
        input.write_all(&[&length, request].concat()).expect("the filter reads");
        let mut length = [0; 4];
        self.output.read_exact(&mut length).expect("the filter answers");
        let mut answer = vec![0; u32::from_le_bytes(length) as usize];
        self.output.read_exact(&mut answer).expect("the filter answers");
        answer
    }
}

impl Drop for Filter {
    fn drop(&mut self) {
        // It ends with its input.
        self.input = None;
        let _ = self.process.wait();
    }
}

/// Appends a length and that many bytes.
pub fn push(request: &mut Vec<u8>, field: &[u8]) {
    request.extend(u32::try_from(field.len()).expect("a field is short").to_le_bytes());
    request.extend(field);
}
