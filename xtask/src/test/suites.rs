//! All test programs of the workspace, several at a time: cargo runs them one after the other, and most of the long ones wait
//! for a control plane. Those that only compute run beside them, on what the others leave of the processors. What a program prints is
//! shown when it has ended, so that nothing is mixed.

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

/// Those that wait for a control plane, the longest ones, which begin first so that none is left alone at the end.
const LONGEST: [&str; 6] = ["managed", "killed_leader", "installation", "faults", "control_plane", "accepted"];

/// Those that compute, without a limit of time, the longest first.
const COMPUTE: [&str; 7] = ["contract", "tutorial", "metamorphic", "hostile", "faulty", "yardstick", "properties"];

fn computes(program: &TestProgram) -> bool {
    COMPUTE.iter().any(|name| program.is_suite(name))
}

/// So many may be asked again alone; when more have failed, it is not the machine.
const FAILED_BESIDE_OTHERS: usize = 4;

/// Builds and runs all of them, when what is built meanwhile is there, and the examples in the documentation, and names all that fail.
/// A stranger's machine has pauses that no limit foresees: what fails beside others fails when it does so alone as well, and both are shown.
pub(super) fn run(jobs: Option<usize>, building: Option<JoinHandle<()>>) -> Result<(), Error> {
    tell("cargo test --workspace --no-run");
    let all = test_programs::build(&["--workspace"])?;
    let count = all.len();
    let (mut compute, mut wait): (Vec<_>, Vec<_>) = all.into_iter().partition(computes);
    compute.sort_by_key(|program| COMPUTE.iter().position(|name| program.is_suite(name)));
    wait.sort_by_key(|program| LONGEST.iter().position(|name| program.is_suite(name)).unwrap_or(LONGEST.len()));
    if let Some(building) = building {
        let _ = building.join();
    }
    let jobs = jobs.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from)).max(1);
    let (compute, wait) = (Queue::new(compute), Queue::new(wait));
    let failed = Mutex::new(Vec::new());
    let work = |queues: &[&Queue]| {
        while let Some(program) = queues.iter().find_map(|queue| queue.next()) {
            if !passes(&program) {
                failed.lock().unwrap_or_else(PoisonError::into_inner).push(program);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| work(&[&wait, &compute]));
        }
        if jobs > 1 {
            scope.spawn(|| work(&[&compute]));
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

/// Programs that have not begun.
struct Queue(Mutex<VecDeque<TestProgram>>);

impl Queue {
    fn new(programs: Vec<TestProgram>) -> Self {
        Self(Mutex::new(programs.into()))
    }

    fn next(&self) -> Option<TestProgram> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

fn passes(program: &TestProgram) -> bool {
    let start = Instant::now();
    let mut command = if computes(program) { program.yielding() } else { program.command() };
    let (passed, said) = match command.stdin(Stdio::null()).output() {
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn suites_that_are_named_here_are_there() {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for name in LONGEST.iter().chain(&COMPUTE) {
            let file = format!("tests/{name}.rs");
            let there =
                ["tests", "controller", "modules/cli"].map(|package| workspace.join(package).join(&file).is_file());
            assert!(there.contains(&true), "{name} is no suite");
        }
    }
}
