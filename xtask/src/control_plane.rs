//! `cargo xtask control-plane`: a control plane that outlives the command.
//!
//! A process of this program holds it, detached, and ends on `down`. The lock that it holds tells whether it runs: a
//! process id alone may be somebody else's by now.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use gateway_modules_testkit::{ControlPlane, Options, binaries, crds};
use rustix::process::{Pid, Signal, kill_process};
use tokio::signal::unix::{SignalKind, signal};

use crate::error::Error;

/// For the start, without the build.
const START: Duration = Duration::from_mins(2);
const STOP: Duration = Duration::from_secs(30);

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Starts a control plane in the background, or finds it running, and says where its kubeconfig is.
    ///
    /// The first start on a machine builds it with Go (about ten minutes), unless `KUBEBUILDER_ASSETS` names a folder
    /// with etcd, kube-apiserver and kube-controller-manager.
    Up(Up),
    /// Ends it; nothing of it remains but its log.
    Down(Name),
    /// Prints the path of its kubeconfig: `KUBECONFIG=$(cargo xtask control-plane kubeconfig) kubectl get namespaces`
    Kubeconfig(Name),
    /// Lists the control planes of this machine.
    Status,
    /// Holds a control plane in this process until it is told to end.
    #[command(hide = true)]
    Hold(Up),
}

#[derive(Args)]
pub(crate) struct Name {
    /// Tells several control planes apart: lower-case letters, digits and dashes.
    #[arg(long, default_value = "default", value_parser = name)]
    name: String,
}

#[derive(Args)]
pub(crate) struct Up {
    #[command(flatten)]
    name: Name,
    /// A folder with custom resource definitions to install, such as .../gateway-api/standard; can be repeated.
    #[arg(long, value_name = "FOLDER")]
    crds: Vec<PathBuf>,
}

pub(crate) fn run(command: Command) -> Result<(), Error> {
    match command {
        Command::Up(up_arguments) => up(&up_arguments),
        Command::Down(name) => down(&State::of(&name)?),
        Command::Kubeconfig(name) => kubeconfig(&State::of(&name)?),
        Command::Status => status(),
        Command::Hold(up_arguments) => hold(&up_arguments),
    }
}

/// It becomes a folder's name.
fn name(text: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if text.is_empty() || text.len() > 40 || !text.bytes().all(fits) {
        return Err("a name is 1 to 40 lower-case letters, digits and dashes".to_owned());
    }
    Ok(text.to_owned())
}

/// The folder that a control plane is known by.
struct State {
    name: String,
    folder: PathBuf,
}

impl State {
    fn all() -> Result<PathBuf, Error> {
        Ok(binaries::cache_folder()?.join("detached"))
    }

    fn of(name: &Name) -> Result<Self, Error> {
        Ok(Self { name: name.name.clone(), folder: Self::all()?.join(&name.name) })
    }

    fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    fn process(&self) -> PathBuf {
        self.folder.join("pid")
    }

    fn open_lock(&self) -> Result<File, Error> {
        let path = self.folder.join("lock");
        File::options().create(true).append(true).open(&path).map_err(Error::io("open", path))
    }

    /// The process that holds it.
    fn holder(&self) -> Result<Option<Pid>, Error> {
        if !self.folder.exists() || self.open_lock()?.try_lock().is_ok() {
            return Ok(None);
        }
        let text = fs::read_to_string(self.process()).unwrap_or_default();
        Ok(text.trim().parse().ok().and_then(Pid::from_raw))
    }
}

fn up(arguments: &Up) -> Result<(), Error> {
    let state = State::of(&arguments.name)?;
    if state.holder()?.is_some() && state.kubeconfig().exists() {
        if !arguments.crds.is_empty() {
            return Err(Error::Message(format!(
                "{} runs already: `cargo xtask control-plane down --name {0}` first, to start it with --crds",
                state.name
            )));
        }
        kubeconfig_hint(&state, "runs already");
        return Ok(());
    }
    // Here, where its progress is seen.
    binaries::find()?;
    fs::create_dir_all(&state.folder).map_err(Error::io("make", &state.folder))?;
    let log_path = state.log();
    let log = File::create(&log_path).map_err(Error::io("write", &log_path))?;
    let program = std::env::current_exe().map_err(Error::io("find", "this program"))?;
    let mut command = std::process::Command::new(&program);
    command.args(["control-plane", "hold", "--name", &state.name]);
    for folder in &arguments.crds {
        command.arg("--crds").arg(folder);
    }
    let mut holder = command
        .stdin(Stdio::null())
        .stdout(log.try_clone().map_err(Error::io("write", &log_path))?)
        .stderr(log)
        // A Ctrl-C in this terminal is not meant for it.
        .process_group(0)
        .spawn()
        .map_err(Error::io("start", program))?;
    let start = Instant::now();
    loop {
        if let Ok(Some(status)) = holder.try_wait() {
            let log = fs::read_to_string(&log_path).unwrap_or_default();
            return Err(Error::Message(format!("the control plane did not start ({status}):\n{}", log.trim_end())));
        }
        if state.kubeconfig().exists() {
            kubeconfig_hint(&state, &format!("runs after {:.1} s", start.elapsed().as_secs_f32()));
            return Ok(());
        }
        if start.elapsed() > START {
            let _ = holder.kill();
            return Err(Error::Message(format!(
                "no control plane after {} s; see {}",
                START.as_secs(),
                log_path.display()
            )));
        }
        sleep(Duration::from_millis(50));
    }
}

/// The command for the shell on standard output, so that `eval` can take it.
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "the command's answer")]
fn kubeconfig_hint(state: &State, what: &str) {
    eprintln!("control plane `{}` {what}", state.name);
    println!("export KUBECONFIG={}", state.kubeconfig().display());
}

#[expect(clippy::print_stderr, reason = "the command's answer")]
fn down(state: &State) -> Result<(), Error> {
    let Some(process) = state.holder()? else {
        forget(state);
        eprintln!("control plane `{}` does not run", state.name);
        return Ok(());
    };
    kill_process(process, Signal::TERM).map_err(|errno| Error::io("end process", process.to_string())(errno.into()))?;
    let start = Instant::now();
    while state.holder()?.is_some() {
        if start.elapsed() > STOP {
            return Err(Error::Message(format!("process {process} has not ended after {} s", STOP.as_secs())));
        }
        sleep(Duration::from_millis(50));
    }
    forget(state);
    eprintln!("control plane `{}` has ended", state.name);
    Ok(())
}

/// What a holder that was killed has left.
fn forget(state: &State) {
    let _ = fs::remove_file(state.kubeconfig());
    let _ = fs::remove_file(state.process());
}

#[expect(clippy::print_stdout, reason = "the command's answer")]
fn kubeconfig(state: &State) -> Result<(), Error> {
    let path = state.kubeconfig();
    if state.holder()?.is_none() || !path.exists() {
        return Err(Error::Message(format!(
            "control plane `{}` does not run: start it with `cargo xtask control-plane up --name {0}`",
            state.name
        )));
    }
    println!("{}", path.display());
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the command's answer")]
fn status() -> Result<(), Error> {
    let all = State::all()?;
    let mut states: Vec<State> = fs::read_dir(&all)
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            Some(State { name: entry.file_name().into_string().ok()?, folder: entry.path() })
        })
        .collect();
    states.sort_by(|one, other| one.name.cmp(&other.name));
    if states.is_empty() {
        println!("no control plane; `cargo xtask control-plane up` starts one");
    }
    for state in states {
        match state.holder()? {
            Some(process) => println!("{}\truns (process {process})\t{}", state.name, state.kubeconfig().display()),
            None => println!("{}\tdoes not run", state.name),
        }
    }
    Ok(())
}

#[tokio::main]
async fn hold(arguments: &Up) -> Result<(), Error> {
    let state = State::of(&arguments.name)?;
    fs::create_dir_all(&state.folder).map_err(Error::io("make", &state.folder))?;
    let lock = state.open_lock()?;
    if lock.try_lock().is_err() {
        return Err(Error::Message(format!("control plane `{}` runs already", state.name)));
    }
    forget(&state);
    let failed = || Error::io("listen for", "signals");
    let mut terminate = signal(SignalKind::terminate()).map_err(failed())?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed())?;
    put(&state.process(), &std::process::id().to_string())?;
    let control_plane = ControlPlane::start(Options::default()).await?;
    let client = control_plane.client().await?;
    for folder in &arguments.crds {
        crds::install_folder(&client, folder).await?;
    }
    let kubeconfig = serde_json::to_string_pretty(&control_plane.kubeconfig()?)
        .map_err(|error| Error::io("write", state.kubeconfig())(error.into()))?;
    put(&state.kubeconfig(), &kubeconfig)?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    control_plane.stop().await?;
    forget(&state);
    Ok(())
}

/// All at once, and for this user only.
fn put(path: &Path, text: &str) -> Result<(), Error> {
    let unfinished = path.with_extension("unfinished");
    let write = || {
        let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
        file.write_all(text.as_bytes())?;
        fs::rename(&unfinished, path)
    };
    write().map_err(Error::io("write", path))
}
