//! All test programs of the workspace, several at a time: cargo runs them one after the other, and most of the long ones wait
//! for a control plane. What a program prints is shown when it has ended, so that nothing is mixed.

use std::{
    collections::VecDeque,
    process::Stdio,
    sync::{Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::Instant,
};

use super::{cargo, tell};
use crate::{
    error::Error,
    test_programs::{self, TestProgram},
};

/// The longest ones begin first, those that compute beside those that wait, so that none is left alone at the end.
const LONGEST: [&str; 9] =
    ["contract", "killed_leader", "metamorphic", "managed", "installation", "faults", "tutorial", "accepted", "faulty"];

/// So many may be asked again alone; when more have failed, it is not the machine.
const FAILED_BESIDE_OTHERS: usize = 4;

/// Builds and runs all of them, when what is built meanwhile is there, and the examples in the documentation, and names all that fail.
/// A stranger's machine has pauses that no limit foresees: what fails beside others fails when it does so alone as well, and both are shown.
pub(super) fn run(jobs: Option<usize>, building: Option<JoinHandle<()>>) -> Result<(), Error> {
    tell("cargo test --workspace --no-run");
    let mut all = test_programs::build(&["--workspace"])?;
    all.sort_by_key(|program| LONGEST.iter().position(|name| program.is_suite(name)).unwrap_or(LONGEST.len()));
    let count = all.len();
    if let Some(building) = building {
        let _ = building.join();
    }
    let jobs = jobs.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from)).max(1);
    let waiting = Mutex::new(VecDeque::from(all));
    let failed = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                loop {
                    let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                    let Some(program) = next else { return };
                    if !passes(&program) {
                        failed.lock().unwrap_or_else(PoisonError::into_inner).push(program);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    let again = failed.len() <= FAILED_BESIDE_OTHERS;
    let mut still = Vec::new();
    for program in &failed {
        tell(&format!("!!! FAILED ONCE, see above: {} !!!", program.told()));
        if !(again && passes(program)) {
            still.push(program.told());
        }
    }
    if !still.is_empty() {
        return Err(Error::Message(format!("{} of {count} failed; alone: {}", still.len(), still.join("; "))));
    }
    cargo(&["test", "--workspace", "--doc"], &[])
}

fn passes(program: &TestProgram) -> bool {
    let start = Instant::now();
    let (passed, said) = match program.command().stdin(Stdio::null()).output() {
        Ok(output) => {
            let said = [output.stdout, output.stderr].concat();
            (output.status.success(), String::from_utf8_lossy(&said).into_owned())
        }
        Err(error) => (false, error.to_string()),
    };
    let word = if passed { "passed" } else { "FAILED" };
    tell(&format!("-- {}: {word} in {:.1} s\n{}", program.told(), start.elapsed().as_secs_f32(), said.trim_end()));
    passed
}
