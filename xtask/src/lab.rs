//! `cargo xtask lab`: a real single-node cluster with real gateways, see the test kit's module `lab`.

mod conformance;
mod translation;

use std::{
    fs::{self, File},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command as Program, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use clap::{Args, Subcommand};
use gateway_modules_testkit::{
    behaviour::Shard,
    lab::{self, AnyCluster, Artifacts, ClusterProvider, Lab, State, gateways},
    schemas_or_explain,
};

use crate::{
    error::Error,
    test_programs::{self, TestProgram},
};

const START: Duration = Duration::from_mins(2);

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Makes all programs and images; a lab makes what is missing by itself.
    ///
    /// Cold: about fifteen minutes on two cores, most of it Kubernetes from source; Istio takes ten more.
    Build(Build),
    /// Tells whether a lab can run on this machine, and what would help where it cannot.
    Check,
    /// Starts a lab with the gateways that are named, or adds them to one that runs.
    Up(Up),
    /// Ends a lab and removes all of it, also what one that was killed has left.
    Down(Name),
    /// Lists the labs of this machine, and the gateways with what keeps some out.
    Status,
    /// A shell in the lab's network with KUBECONFIG set; with arguments it runs these instead.
    Shell(Shell),
    /// Runs the behaviour suite against real gateways; --write keeps the results in the repository.
    Test(Test),
    /// Runs the upstream conformance suite of Gateway API against a gateway, and compares it with the capability table.
    Conformance(conformance::Arguments),
    /// What a gateway's control plane makes of what is applied, where the gateway cannot run: conditions and translation, no requests.
    ///
    /// Needs no root and no lab, a control plane only. Cold: Kubernetes and Cilium's operator from source, twenty minutes on two cores.
    Translation(translation::Arguments),
    /// The first process of a lab's namespaces.
    #[command(hide = true)]
    Hold(Name),
}

#[derive(Args)]
pub(crate) struct Name {
    /// Tells several labs apart: lower-case letters, digits and dashes.
    #[arg(long, default_value = "default")]
    name: String,
}

#[derive(Args)]
pub(crate) struct Build {
    /// Only the images of these gateways; of all that can run when none is named.
    gateways: Vec<String>,
}

#[derive(Args)]
pub(crate) struct Up {
    #[command(flatten)]
    name: Name,
    /// Gateways to install, such as traefik.
    gateways: Vec<String>,
}

#[derive(Args)]
pub(crate) struct Shell {
    #[command(flatten)]
    name: Name,
    /// A command and its arguments.
    #[arg(trailing_var_arg = true)]
    command: Vec<String>,
}

#[derive(Args)]
pub(crate) struct Test {
    /// Only these gateways; all that can run when none is named.
    gateways: Vec<String>,
    /// Only the tests whose names contain this.
    #[arg(long)]
    only: Option<String>,
    /// Only a part of the tests, as in 1/2, the first of two: parts can be asked beside each other, each in a lab of its own.
    #[arg(long, value_name = "NUMBER/COUNT")]
    shard: Option<Shard>,
    /// Writes the results of the gateways that were asked: docs/behaviour.json, and what is made of it (docs/behaviour.md,
    /// the evidence of the adapters).
    #[arg(long, conflicts_with_all = ["only", "shard", "kubeconfig"])]
    write: bool,
    /// Leaves the lab running, to look at it.
    #[arg(long)]
    keep: bool,
    /// Asks gateways in the cluster of this file (its current context) and starts no lab: kind, k3s, one of a cloud. Its Services
    /// must be reached from here, cluster addresses too, and its nodes must have the images of `lab build`.
    #[arg(long, requires = "gateways")]
    kubeconfig: Option<PathBuf>,
    /// With --kubeconfig: the gateways are installed there already.
    #[arg(long, requires = "kubeconfig")]
    installed: bool,
}

pub(crate) fn run(command: Command) -> Result<(), Error> {
    match command {
        Command::Build(arguments) => build(&arguments),
        Command::Check => check(),
        Command::Up(arguments) => up(&arguments),
        Command::Down(name) => down(&name.name),
        Command::Status => status(),
        Command::Shell(arguments) => shell(&arguments),
        Command::Test(arguments) => test(&arguments),
        Command::Conformance(arguments) => conformance::run(&arguments),
        Command::Translation(arguments) => translation::run(&arguments),
        Command::Hold(name) => hold(&name.name),
    }
}

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

#[expect(clippy::print_stderr, reason = "the command's answer")]
fn tell(text: &str) {
    eprintln!("{text}");
}

#[expect(clippy::print_stdout, reason = "the command's answer")]
fn check() -> Result<(), Error> {
    let checks = lab::preflight();
    for check in &checks {
        println!("{check}");
    }
    match checks.iter().filter(|check| check.found.is_err()).count() {
        0 => Ok(()),
        missing => Err(Error::Message(format!("{missing} of {} needs of a lab are not met here", checks.len()))),
    }
}

fn build(arguments: &Build) -> Result<(), Error> {
    let gateways = named(&arguments.gateways)?;
    let begin = Instant::now();
    let done = |what: &str| tell(&format!("{what} there after {} s", begin.elapsed().as_secs()));
    Artifacts::make(workspace())?;
    done("node, name server and backends are");
    for gateway in gateways.iter().filter(|gateway| matches!(gateway.stand, gateways::Stand::Runs { .. })) {
        gateway.prepare()?;
        done(&format!("{} {} is", gateway.module, gateway.version));
    }
    Ok(())
}

fn up(arguments: &Up) -> Result<(), Error> {
    for wanted in &arguments.gateways {
        find(wanted)?;
    }
    let name = &arguments.name.name;
    let state = State::of(name)?;
    if state.holder()?.is_some() && state.ready().exists() {
        tell(&format!("lab `{name}` runs already"));
    } else {
        start(&state, Life::Own)?;
    }
    for wanted in &arguments.gateways {
        install(name, find(wanted)?)?;
    }
    tell(&format!("`cargo xtask lab shell --name {name}` opens a shell in it"));
    Ok(())
}

/// How long a lab lives.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Life {
    /// Until `down`.
    Own,
    /// As long as this process, however that one ends.
    Ours,
}

fn start(state: &State, life: Life) -> Result<(), Error> {
    Artifacts::make(workspace())?;
    // What killed ones have left, this one and others.
    state.remove()?;
    for other in State::all()? {
        if other.is_left_over()? {
            other.remove()?;
        }
    }
    fs::create_dir_all(state.folder()).map_err(Error::io("make", state.folder()))?;
    let log_path = state.log();
    let log = File::create(&log_path).map_err(Error::io("write", &log_path))?;
    let own: PathBuf = std::env::current_exe().map_err(Error::io("find", "this program"))?;
    let begin = Instant::now();
    let mut command = Program::new(if life == Life::Ours { "setpriv" } else { "unshare" });
    if life == Life::Ours {
        command.args(["--pdeathsig", "KILL", "unshare"]);
    }
    let mut holder = command
        .args(["--pid", "--mount", "--net", "--uts", "--ipc", "--fork", "--kill-child", "--mount-proc", "--"])
        .arg(own)
        .args(["lab", "hold", "--name", state.name()])
        .stdin(Stdio::null())
        .stdout(log.try_clone().map_err(Error::io("write", &log_path))?)
        .stderr(log)
        // A Ctrl-C in this terminal is not meant for it.
        .process_group(0)
        .spawn()
        .map_err(Error::io("start", "unshare"))?;
    let file = state.process_file();
    fs::write(&file, holder.id().to_string()).map_err(Error::io("write", file))?;
    while !state.ready().exists() {
        let ended = holder.try_wait().ok().flatten();
        if ended.is_some() || begin.elapsed() > START {
            let _ = holder.kill();
            let log = fs::read_to_string(&log_path).unwrap_or_default();
            return Err(Error::Message(format!("lab `{}` did not start:\n{}", state.name(), log.trim_end())));
        }
        sleep(Duration::from_millis(50));
    }
    tell(&format!("lab `{}` is ready after {:.1} s", state.name(), begin.elapsed().as_secs_f32()));
    Ok(())
}

fn hold(name: &str) -> Result<(), Error> {
    Ok(lab::hold(&State::of(name)?, &Artifacts::make(workspace())?)?)
}

fn find(module: &str) -> Result<&'static gateways::Gateway, Error> {
    let all = || gateways::ALL.iter().chain(gateways::COMMUNITY);
    let names = || all().map(|gateway| gateway.module).collect::<Vec<_>>().join(", ");
    gateways::find(module).ok_or_else(|| Error::Message(format!("no gateway {module:?}; there are {}", names())))
}

/// Those, or all when none is named.
fn named(names: &[String]) -> Result<Vec<&'static gateways::Gateway>, Error> {
    if names.is_empty() { Ok(gateways::ALL.iter().collect()) } else { names.iter().map(|name| find(name)).collect() }
}

/// A gateway of which nobody is asked here, and why.
fn absent(gateway: &gateways::Gateway) -> Option<&'static str> {
    if let gateways::Stand::Absent(reason) = gateway.stand { Some(reason) } else { None }
}

fn install(name: &str, gateway: &'static gateways::Gateway) -> Result<(), Error> {
    if let Some(reason) = absent(gateway) {
        return Err(Error::Message(format!("{} does not run in a lab: {reason}", gateway.module)));
    }
    install_in(&Lab::attach(name)?, gateway)
}

fn install_in(cluster: &dyn ClusterProvider, gateway: &'static gateways::Gateway) -> Result<(), Error> {
    let Some(schemas) = schemas_or_explain()? else { return Ok(()) };
    // Before the network of a lab, from which nothing can be fetched.
    gateway.prepare()?;
    let registry = gateway_modules::registry().map_err(|error| Error::Message(error.to_string()))?;
    let module = registry.get(gateway.module).map_err(|error| {
        let community = gateways::COMMUNITY.iter().any(|known| known.module == gateway.module);
        let advice = if community { "; examples/community-adapter/lab has it, and installs this gateway" } else { "" };
        Error::Message(format!("{error}{advice}"))
    })?;
    let kubeconfig = cluster.kubeconfig()?;
    let begin = Instant::now();
    lab::run_in(cluster, || async move {
        let client = lab::client(kubeconfig).await?;
        gateways::install(&client, cluster, gateway, module, &schemas).await
    })??;
    tell(&format!("{} {} is ready after {:.1} s", gateway.module, gateway.version, begin.elapsed().as_secs_f32()));
    Ok(())
}

fn down(name: &str) -> Result<(), Error> {
    let state = State::of(name)?;
    let was = if state.holder()?.is_some() { "has ended" } else { "did not run" };
    state.remove()?;
    tell(&format!("lab `{name}` {was}; nothing of it is left"));
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the command's answer")]
fn status() -> Result<(), Error> {
    for state in State::all()? {
        match state.holder()? {
            Some(process) if state.ready().exists() => println!("{}\truns (process {process})", state.name()),
            Some(process) => println!("{}\tstarts (process {process})", state.name()),
            None => println!("{}\twas killed; `down` or `up` cleans it away", state.name()),
        }
    }
    for gateway in gateways::ALL.iter().chain(gateways::COMMUNITY) {
        match gateway.stand {
            gateways::Stand::Absent(reason) => {
                println!("{} {}: does not run here: {reason}", gateway.module, gateway.version)
            }
            gateways::Stand::Runs { .. } => {
                println!("{} {}: runs here; {}", gateway.module, gateway.version, gateway.limits.join("; "))
            }
        }
    }
    Ok(())
}

fn shell(arguments: &Shell) -> Result<(), Error> {
    let state = State::of(&arguments.name.name)?;
    let process = state.inside()?.ok_or_else(|| Error::Message(format!("lab `{}` does not run", state.name())))?;
    let mut command = Program::new("nsenter");
    command.args(["--net", "--mount", "--pid", "--target", &process.to_string(), "--"]);
    match arguments.command.as_slice() {
        [] => command.arg(std::env::var_os("SHELL").unwrap_or_else(|| "sh".into())),
        words => command.args(words),
    };
    Err(Error::io("start", "nsenter")(command.env("KUBECONFIG", state.kubeconfig()).exec()))
}

fn test(arguments: &Test) -> Result<(), Error> {
    let begin = Instant::now();
    if schemas_or_explain()?.is_none() {
        return Ok(());
    }
    // Before a lab is there, which has its time for the requests.
    let programs = test_programs::build(&["--quiet", "--package", "gateway-modules-testkit", "--test", "behaviour"])?;
    let result = match &arguments.kubeconfig {
        Some(file) => test_in_cluster(arguments, file, &programs),
        None => test_in_lab(arguments, &programs),
    };
    tell(&format!("lab: {} s in all", begin.elapsed().as_secs()));
    result
}

/// A lab of its own, which goes when the suite has ended.
fn test_in_lab(arguments: &Test, programs: &[TestProgram]) -> Result<(), Error> {
    let wanted = named(&arguments.gateways)?;
    let name = format!("test-{}", std::process::id());
    let state = State::of(&name)?;
    let _guard = Guard { state: &state, keep: arguments.keep };
    start(&state, if arguments.keep { Life::Own } else { Life::Ours })?;
    for gateway in wanted {
        match absent(gateway) {
            Some(reason) => tell(&format!("{}: skipped: {reason}", gateway.module)),
            None => install(&name, gateway)?,
        }
    }
    suite(arguments, programs, ("GATEWAY_MODULES_LAB", name.as_ref()))
}

/// Somebody's cluster, in which the gateways and the suite's objects stay.
fn test_in_cluster(arguments: &Test, file: &Path, programs: &[TestProgram]) -> Result<(), Error> {
    let file = fs::canonicalize(file).map_err(Error::io("read", file))?;
    let cluster = AnyCluster { file };
    for name in &arguments.gateways {
        let gateway = gateways::find_for(&cluster, name).map_or_else(|| find(name), Ok)?;
        if let Some(reason) = absent(gateway) {
            return Err(Error::Message(format!("{name}: there is no entry for other clusters: {reason}")));
        }
        if !arguments.installed {
            install_in(&cluster, gateway)?;
        }
    }
    tell(&format!("asking {}", cluster.describe()));
    suite(arguments, programs, ("GATEWAY_MODULES_LAB_KUBECONFIG", cluster.file.as_os_str()))
}

/// Runs the suite in the cluster that the variable names.
fn suite(arguments: &Test, programs: &[TestProgram], cluster: (&str, &std::ffi::OsStr)) -> Result<(), Error> {
    for program in programs {
        let mut command = program.command();
        command
            .args(&arguments.gateways)
            .env(cluster.0, cluster.1)
            .env("GATEWAY_MODULES_LAB_ONLY", arguments.only.as_deref().unwrap_or_default())
            .env("GATEWAY_MODULES_LAB_SHARD", arguments.shard.map(|shard| shard.to_string()).unwrap_or_default());
        if arguments.write {
            command.env("GATEWAY_MODULES_LAB_WRITE", workspace());
        }
        let status = command.status().map_err(Error::io("start", program.told()))?;
        if !status.success() {
            return Err(Error::Message("the behaviour suite has failed; --keep leaves its lab running".to_owned()));
        }
    }
    Ok(())
}

/// Takes a lab away at the end, whatever the end is.
struct Guard<'a> {
    state: &'a State,
    keep: bool,
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if self.keep {
            tell(&format!("`cargo xtask lab shell --name {0}` opens a shell in the lab", self.state.name()));
        } else if let Err(error) = self.state.remove() {
            tell(&format!("lab `{}` could not be removed: {error}", self.state.name()));
        }
    }
}
