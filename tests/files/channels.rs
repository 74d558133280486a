//! Plans of a small network, and what a few naive lines say of it.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use super::files::Folder;
use super::models::{Made, file_of};
use super::nets::{Net, Widths};
use secateur::graph::{Dependencies, Member, Role};
use secateur::prune::{Allocation, Amount, ChannelOptions, GroupCriterion, Keep, Plan, layer_costs, plan_channels};
use secateur::{Checkpoint, Engine, Progress, Result, Tensor};
use std::collections::BTreeMap;
use std::num::NonZeroUsize;

pub(crate) const SCORED: [GroupCriterion; 6] = [
    GroupCriterion::Variance,
    GroupCriterion::Kurtosis,
    GroupCriterion::Skewness,
    GroupCriterion::Mean,
    GroupCriterion::L1,
    GroupCriterion::L2,
];

/// A network as a file, and what it was called originally.
pub(crate) struct Case {
    pub(crate) net: Net,
    pub(crate) model: Checkpoint,
    pub(crate) original: BTreeMap<String, u64>,
    _folder: Folder,
}

impl Case {
    pub(crate) fn new(widths: Widths, seed: u64) -> Self {
        Self::of(Net::new(widths, seed))
    }

    pub(crate) fn of(net: Net) -> Self {
        let folder = Folder::new();
        let model = folder.open("m.safetensors", &file_of(&net.tensors, &[])).expect("a good model");
        Self { net, model, original: BTreeMap::new(), _folder: folder }
    }

    pub(crate) fn try_plan(&self, options: &ChannelOptions, threads: usize) -> Result<Plan> {
        let engine = Engine::cpu(NonZeroUsize::new(threads))?;
        plan_channels(&self.model, &self.net.dependencies, &self.original, options, &engine, &Progress::default())
    }

    pub(crate) fn plan(&self, options: &ChannelOptions) -> Plan {
        self.try_plan(options, 2).expect("a plan")
    }

    pub(crate) fn refusal(&self, options: &ChannelOptions) -> String {
        self.try_plan(options, 1).expect_err("no plan").to_string()
    }

    pub(crate) fn costs(&self, plan: &Plan) -> secateur::prune::Costs {
        let shape = |name: &str| self.model.get(name).map(Tensor::shape);
        let kept: Vec<u64> = plan.classes.iter().map(|class| class.kept()).collect();
        layer_costs(&self.net.dependencies, shape, &kept).expect("shapes are known")
    }
}

pub(crate) fn cuts(plan: &Plan) -> Vec<Vec<u64>> {
    plan.classes.iter().map(|class| class.cut.clone()).collect()
}

pub(crate) fn kept(plan: &Plan) -> Vec<u64> {
    plan.classes.iter().take(4).map(|class| class.kept()).collect()
}

pub(crate) fn with(amount: Amount, allocation: Allocation) -> ChannelOptions {
    ChannelOptions { amount, allocation, ..ChannelOptions::default() }
}

/// The weights of one channel of a member.
pub(crate) fn channel(tensors: &[Made], member: &Member, channel: u64) -> Vec<f64> {
    let tensor = tensors.iter().find(|t| t.name == member.tensor).expect("a tensor");
    let inner: u64 = tensor.shape[member.axis + 1..].iter().product();
    let first = member.start + channel * member.run;
    let of = |i: u64| (first..first + member.run).contains(&(i / inner % tensor.shape[member.axis]));
    (0u64..).zip(tensor.values()).filter(|(i, _)| of(*i)).map(|(_, w)| w).collect()
}

pub(crate) fn naive_score(criterion: GroupCriterion, w: &[f64]) -> f64 {
    let n = w.len() as f64;
    let mean = w.iter().sum::<f64>() / n;
    let power = |p: i32| w.iter().map(|x| (x - mean).powi(p)).sum::<f64>() / n;
    match criterion {
        GroupCriterion::Variance => power(2),
        GroupCriterion::Kurtosis => power(4) / power(2).powi(2),
        GroupCriterion::Skewness => (power(3) / power(2).powf(1.5)).abs(),
        GroupCriterion::Mean => mean.abs(),
        GroupCriterion::L1 => w.iter().map(|x| x.abs()).sum(),
        GroupCriterion::L2 => w.iter().map(|x| x * x).sum::<f64>().sqrt(),
        GroupCriterion::Random { .. } => unreachable!("not scored by weights"),
    }
}

/// The scores of each class.
pub(crate) fn naive_scores(net: &Net, options: &ChannelOptions) -> Vec<Vec<f64>> {
    let standard = |tensors: &[Made]| -> Vec<Made> {
        let each = |t: &Made| {
            let w = t.values();
            let mean = w.iter().sum::<f64>() / w.len() as f64;
            let sigma = naive_score(GroupCriterion::Variance, &w).sqrt();
            let bytes = w.iter().flat_map(|w| ((w - mean) / sigma).to_le_bytes()).collect();
            Made::new(&t.name, secateur::Dtype::F64, &t.shape, bytes)
        };
        tensors.iter().map(each).collect()
    };
    let tensors = if options.standardize { standard(&net.tensors) } else { net.tensors.clone() };
    let rank = |member: &Member| tensors.iter().find(|t| t.name == member.tensor).map_or(0, |t| t.shape.len());
    let each = |class: &secateur::graph::Class| {
        let of = |member: &Member| -> Vec<f64> {
            (0..class.channels).map(|c| naive_score(options.criterion, &channel(&tensors, member, c))).collect()
        };
        if !options.coupled {
            return of(&class.members[0]);
        }
        let weights = class.members.iter().filter(|m| matches!(m.role, Role::Output | Role::Input) && rank(m) > 1);
        let mut scores = vec![0.0; class.channels as usize];
        for term in weights.map(of) {
            let mean = term.iter().sum::<f64>() / class.channels as f64;
            scores.iter_mut().zip(term).for_each(|(score, value)| *score += value / mean);
        }
        scores
    };
    net.dependencies.classes.iter().take(4).map(each).collect()
}

/// All channels of the classes, in the order in which they go.
pub(crate) fn naive_order(dependencies: &Dependencies, scores: &[Vec<f64>], keep: Keep) -> Vec<(usize, u64)> {
    let name = |class: usize| dependencies.classes[class].name.as_bytes();
    let sign = if keep == Keep::Smallest { -1.0 } else { 1.0 };
    let mut all: Vec<(usize, u64)> =
        (0..scores.len()).flat_map(|class| (0..scores[class].len() as u64).map(move |c| (class, c))).collect();
    all.sort_by(|&(a, i), &(b, j)| {
        let (x, y) = (sign * scores[a][i as usize], sign * scores[b][j as usize]);
        x.total_cmp(&y).then(name(a).cmp(name(b))).then(i.cmp(&j))
    });
    all
}
