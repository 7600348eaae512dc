//! Manifests in, the same manifests out with the sidecar. Pure: text to text.
//!
//! The text is read into a tree of places ([`crate::yaml`]); [`pods`] finds what describes pods, [`select`]
//! chooses their containers, [`plan`] and [`remove`] say what is to change, [`sidecar_spec`] what it looks like, and [`splice`]
//! writes it between bytes that stay as they were.

#![forbid(unsafe_code)]

pub mod plan;
pub mod pods;
pub mod remove;
pub mod select;
pub mod sidecar_spec;
pub mod splice;
pub mod yaml;
pub mod yaml_value;

use crate::plan::Planner;
use crate::pods::{Manifests, Pod};
use crate::select::ContainerSelector;
use crate::sidecar_spec::Mode;
use crate::splice::Splice;

/// The largest uid that Kubernetes takes.
pub const LARGEST_ID: u32 = i32::MAX.unsigned_abs();

/// The sidecar's name, by which it is found again.
pub const SIDECAR: &str = "lameduck";

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Request {
    /// To which containers.
    pub wanted: ContainerSelector,
    /// As what.
    pub shape: Mode,
    /// The sidecar's image.
    pub image: String,
    /// The settings that were typed.
    pub settings: Vec<Setting>,
    /// The grace period for pod and sidecar, in seconds; `None` takes the pod's.
    pub grace_period: Option<u64>,
    /// The main container's uid, where the manifest does not say it.
    pub run_as_user: Option<u32>,
    /// The port that the sidecar listens on.
    pub port: u16,
}

impl Request {
    /// Whether the sidecar signals the target.
    fn signals(&self) -> bool {
        let is_none = |value: &String| value.trim().eq_ignore_ascii_case("none");
        !self.settings.iter().any(|setting| setting.flag == "signal" && setting.values.iter().all(is_none))
    }
}

/// A setting of the sidecar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its flag, with dashes.
    pub flag: String,
    /// Its variable.
    pub variable: String,
    /// What was typed, in order.
    pub values: Vec<String>,
}

/// Manifests that were changed, and what is to be said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// The manifests.
    pub text: String,
    /// What was changed and what was left, a line each.
    pub told: Vec<String>,
}

/// Whether the settings fit a grace period, in seconds; the error names what does not.
pub type Check<'a> = &'a dyn Fn(u64) -> Result<(), String>;

/// Writes the sidecar into manifests, or brings the one that is there up to date.
///
/// # Errors
/// Names the cause and the mend, where the manifests cannot be read, nothing in them is meant, or what is meant cannot
/// be changed without harm.
pub fn inject(text: &str, request: &Request, check: Check) -> Result<Done, String> {
    let Read { documents, unread } = read(text)?;
    let manifests = find(&documents, &request.wanted)?;
    let mut planners = Vec::new();
    let mut left = manifests.others;
    for pod in &manifests.pods {
        match request.wanted.select(pod)? {
            Some(picked) => planners.push(Planner::new(pod, picked, request, text)?),
            None => left.push(pod.title()),
        }
    }
    if planners.is_empty() {
        return Err(nothing(&request.wanted, &left));
    }
    if planners.iter().any(Planner::is_of_another_shape) {
        return reshape(text, &planners, request, check);
    }
    let mut splice = Splice::new(text);
    let mut told = unread;
    for planner in planners {
        planner.plan(&mut splice, &mut told, check)?;
    }
    told.extend((!left.is_empty()).then(|| format!("left as they are: {}", left.join(", "))));
    Ok(Done { text: splice.apply(), told })
}

/// Takes out what stands elsewhere first, so that each shape is written as if it were the only one.
fn reshape(text: &str, planners: &[Planner], request: &Request, check: Check) -> Result<Done, String> {
    let mut splice = Splice::new(text);
    let mut told = Vec::new();
    for planner in planners.iter().filter(|planner| planner.is_of_another_shape()) {
        told.extend(remove::take_out(planner.pod(), &mut splice)?);
    }
    let mut done = inject(&splice.apply(), request, check)?;
    done.told.splice(0..0, told);
    Ok(done)
}

/// What can be read of a stream.
struct Read {
    documents: Vec<yaml::Document>,
    /// What cannot, and need not: a line each.
    unread: Vec<String>,
}

fn read(text: &str) -> Result<Read, String> {
    let mut read = Read { documents: Vec::new(), unread: Vec::new() };
    for yaml_value in yaml::parts(text) {
        match yaml::read(text, &yaml_value) {
            Ok(documents) => read.documents.extend(documents),
            Err(error) => match pods::other_kind(&text[yaml_value.range]) {
                Some(kind) => read.unread.push(format!("a {kind} cannot be read, and is left as it is: {error}")),
                None => return Err(format!("the manifests cannot be read: {error}; mend that, or render them anew")),
            },
        }
    }
    Ok(read)
}

fn find<'a>(documents: &'a [yaml::Document], wanted: &ContainerSelector) -> Result<Manifests<'a>, String> {
    let manifests = pods::find(documents);
    let missing: Vec<_> = wanted.missing(&manifests.pods).collect();
    if missing.is_empty() {
        return Ok(manifests);
    }
    if let Some(title) =
        missing.iter().find(|title| manifests.others.iter().any(|other| other.eq_ignore_ascii_case(title)))
    {
        return Err(format!(
            "--workload {title}: where that keeps its pods is not known; known are {}; write the sidecar into it by hand",
            pods::KINDS
        ));
    }
    let there: Vec<_> = manifests.pods.iter().map(Pod::title).collect();
    let there = if there.is_empty() { "none".to_owned() } else { there.join(", ") };
    Err(format!("--workload {}: not among the manifests; the workloads there are: {there}", missing.join(", ")))
}

fn nothing(wanted: &ContainerSelector, left: &[String]) -> String {
    let what = match (&wanted.container, &wanted.program) {
        (Some(name), _) => format!("no workload has a container named {name}"),
        (None, Some(program)) => format!("no container runs {program}"),
        (None, None) => "nothing says which container to drain".to_owned(),
    };
    let seen = if left.is_empty() { "no manifests".to_owned() } else { left.join(", ") };
    format!("nothing to change: {what}; seen: {seen}. Name what is meant with --workload KIND/NAME or --container NAME")
}
