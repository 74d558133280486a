//! Which channels a plan cuts: those that a few naive lines say.

mod files;
#[path = "files/models.rs"]
mod models;
#[path = "files/nets.rs"]
mod nets;

use std::collections::BTreeMap;
use std::num::{NonZeroU64, NonZeroUsize};

use files::Folder;
use models::{Made, file_of};
use nets::{Net, WIDTHS, Widths, costs};
use proptest::prelude::*;
use secateur::graph::{Dependencies, Member, Role};
use secateur::prune::{
    Allocation, Amount, ChannelOptions, GroupCriterion, Keep, Plan, Rates, layer_costs, plan_channels,
};
use secateur::{Checkpoint, Engine, Progress, Result, Selection, Tensor};

const SCORED: [GroupCriterion; 6] = [
    GroupCriterion::Variance,
    GroupCriterion::Kurtosis,
    GroupCriterion::Skewness,
    GroupCriterion::Mean,
    GroupCriterion::L1,
    GroupCriterion::L2,
];

/// A network as a file, and what it was called originally.
struct Case {
    net: Net,
    model: Checkpoint,
    original: BTreeMap<String, u64>,
    _folder: Folder,
}

impl Case {
    fn new(widths: Widths, seed: u64) -> Self {
        Self::of(Net::new(widths, seed))
    }

    fn of(net: Net) -> Self {
        let folder = Folder::new();
        let model = folder.open("m.safetensors", &file_of(&net.tensors, &[])).expect("a good model");
        Self { net, model, original: BTreeMap::new(), _folder: folder }
    }

    fn try_plan(&self, options: &ChannelOptions, threads: usize) -> Result<Plan> {
        let engine = Engine::cpu(NonZeroUsize::new(threads))?;
        plan_channels(&self.model, &self.net.dependencies, &self.original, options, &engine, &Progress::default())
    }

    fn plan(&self, options: &ChannelOptions) -> Plan {
        self.try_plan(options, 2).expect("a plan")
    }

    fn refusal(&self, options: &ChannelOptions) -> String {
        self.try_plan(options, 1).expect_err("no plan").to_string()
    }

    fn costs(&self, plan: &Plan) -> secateur::prune::Costs {
        let shape = |name: &str| self.model.get(name).map(Tensor::shape);
        let kept: Vec<u64> = plan.classes.iter().map(|class| class.kept()).collect();
        layer_costs(&self.net.dependencies, shape, &kept).expect("shapes are known")
    }
}

fn cuts(plan: &Plan) -> Vec<Vec<u64>> {
    plan.classes.iter().map(|class| class.cut.clone()).collect()
}

fn kept(plan: &Plan) -> Vec<u64> {
    plan.classes.iter().take(4).map(|class| class.kept()).collect()
}

fn with(amount: Amount, allocation: Allocation) -> ChannelOptions {
    ChannelOptions { amount, allocation, ..ChannelOptions::default() }
}

/// The weights of one channel of a member.
fn channel(tensors: &[Made], member: &Member, channel: u64) -> Vec<f64> {
    let tensor = tensors.iter().find(|t| t.name == member.tensor).expect("a tensor");
    let inner: u64 = tensor.shape[member.axis + 1..].iter().product();
    let first = member.start + channel * member.run;
    let of = |i: u64| (first..first + member.run).contains(&(i / inner % tensor.shape[member.axis]));
    (0u64..).zip(tensor.values()).filter(|(i, _)| of(*i)).map(|(_, w)| w).collect()
}

fn naive_score(criterion: GroupCriterion, w: &[f64]) -> f64 {
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
fn naive_scores(net: &Net, options: &ChannelOptions) -> Vec<Vec<f64>> {
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
fn naive_order(dependencies: &Dependencies, scores: &[Vec<f64>], keep: Keep) -> Vec<(usize, u64)> {
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

#[test]
fn the_lowest_scores_go() {
    let case = Case::new(WIDTHS, 1);
    for criterion in SCORED {
        for (coupled, standardize, keep) in [
            (true, false, Keep::Largest),
            (true, true, Keep::Largest),
            (false, false, Keep::Largest),
            (false, true, Keep::Smallest),
        ] {
            if standardize && criterion == GroupCriterion::L1 {
                continue;
            }
            let amount = Amount::Sparsity(0.4);
            let options = ChannelOptions { amount, criterion, coupled, standardize, keep, ..ChannelOptions::default() };
            let order = naive_order(&case.net.dependencies, &naive_scores(&case.net, &options), keep);
            // 0.4 · 6, 4, 5, 8 = 2.4, 1.6, 2, 3.2.
            let counts = [2, 2, 2, 3];
            let mut want = vec![Vec::new(); 5];
            order.iter().for_each(|&(class, c)| {
                if want[class].len() < counts[class] {
                    want[class].push(c);
                }
            });
            want.iter_mut().for_each(|cut| cut.sort_unstable());
            assert_eq!(cuts(&case.plan(&options)), want, "{criterion} {coupled} {standardize} {keep}");

            let options = ChannelOptions { allocation: Allocation::Global, ..options };
            // 0.4 · 23 = 9.2, and a class's last channel is passed over.
            let mut want = vec![Vec::new(); 5];
            let mut left = 9;
            for (class, c) in order {
                if left > 0 && want[class].len() as u64 + 1 < WIDTHS[class] {
                    want[class].push(c);
                    left -= 1;
                }
            }
            want.iter_mut().for_each(|cut| cut.sort_unstable());
            assert_eq!(cuts(&case.plan(&options)), want, "global {criterion} {coupled} {standardize} {keep}");
        }
    }
}

#[test]
fn random_is_a_control() {
    let case = Case::new([40, 30, 20, 50], 2);
    let plan = |seed, threads| {
        let criterion = GroupCriterion::Random { seed };
        let options = ChannelOptions { criterion, ..with(Amount::Sparsity(0.5), Allocation::Global) };
        case.try_plan(&options, threads).expect("a plan")
    };
    assert_eq!(plan(1, 1), plan(1, 3));
    assert_ne!(cuts(&plan(1, 1)), cuts(&plan(2, 1)));
    assert_eq!(kept(&plan(1, 1)).iter().sum::<u64>(), 70);
    // As the numbers of a seed are independent of the weights, so is the plan.
    let other = Case::new([40, 30, 20, 50], 3);
    let options = ChannelOptions {
        criterion: GroupCriterion::Random { seed: 1 },
        ..with(Amount::Sparsity(0.5), Allocation::Global)
    };
    assert_eq!(other.plan(&options), plan(1, 2));
}

#[test]
fn ties_and_what_is_undefined() {
    let mut net = Net::new(WIDTHS, 4);
    for tensor in &mut net.tensors {
        *tensor = Made::f32(&tensor.name, &tensor.shape, &vec![1.0; tensor.values().len()]);
    }
    let case = Case::of(net);
    let uncoupled = |criterion, keep, allocation| ChannelOptions {
        criterion,
        keep,
        coupled: false,
        ..with(Amount::Sparsity(0.5), allocation)
    };
    for keep in [Keep::Largest, Keep::Smallest] {
        let by_index = vec![vec![0, 1, 2], vec![0, 1], vec![0, 1], vec![0, 1, 2, 3], vec![]];
        assert_eq!(cuts(&case.plan(&uncoupled(GroupCriterion::Variance, keep, Allocation::Uniform))), by_index);
        // 11.5 → 12, by names: conv1, conv2, fc1; each keeps its last.
        let by_name = vec![vec![0, 1, 2, 3, 4], vec![0, 1, 2], vec![], vec![0, 1, 2, 3], vec![]];
        let plan = case.plan(&uncoupled(GroupCriterion::Kurtosis, keep, Allocation::Global));
        assert_eq!(cuts(&plan), by_name);
    }
    // Standardised, they have no score at all.
    let options = ChannelOptions { standardize: true, ..with(Amount::Sparsity(0.5), Allocation::Uniform) };
    assert_eq!(kept(&case.plan(&options)), [3, 2, 3, 4]);

    let mut net = Net::new(WIDTHS, 5);
    let mut weights: Vec<f32> = net.tensors[0].values().iter().map(|&w| w as f32).collect();
    // Channel 4 without a finite weight, channel 2 all equal.
    weights[4 * 27..5 * 27].fill(f32::NAN);
    weights[2 * 27..3 * 27].fill(7.0);
    net.tensors[0] = Made::f32("conv1.weight", &[6, 3, 3, 3], &weights);
    let case = Case::of(net);
    let options = ChannelOptions { coupled: false, ..with(Amount::Sparsity(0.34), Allocation::Uniform) };
    assert_eq!(case.plan(&options).classes[0].cut, [2, 4]);
}

#[test]
fn widths_are_rounded_up_and_one_stays() {
    let case = Case::new([12, 7, 5, 20], 6);
    for (rate, round_to, want) in [
        (0.0, 1, [12, 7, 5, 20]),
        (0.5, 1, [6, 3, 3, 10]),
        (0.5, 4, [8, 4, 4, 12]),
        (0.5, 8, [8, 7, 5, 16]),
        (0.5, u64::MAX, [12, 7, 5, 20]),
        (0.999, 1, [1, 1, 1, 1]),
        (0.999, 2, [2, 2, 2, 2]),
    ] {
        let round_to = NonZeroU64::new(round_to).expect("not 0");
        let options = ChannelOptions { round_to, ..with(Amount::Sparsity(rate), Allocation::Uniform) };
        assert_eq!(kept(&case.plan(&options)), want, "{rate} {round_to}");
    }
    for allocation in [Allocation::Global, Allocation::Variance] {
        assert_eq!(kept(&case.plan(&with(Amount::Sparsity(0.999), allocation))), [1, 1, 1, 1]);
    }
}

#[test]
fn pruning_again_counts_from_the_original() {
    let first = Case::new([12, 8, 6, 20], 7);
    let halves = with(Amount::Sparsity(0.5), Allocation::Uniform);
    let plan = first.plan(&halves);
    let widths: Widths = kept(&plan).try_into().expect("four");
    assert_eq!(widths, [6, 4, 3, 10]);
    let mut again = Case::new(widths, 8);
    again.original = plan.classes.iter().map(|class| (class.name.clone(), class.original)).collect();
    // Of a frozen class, or of another model.
    again.original.extend([("fc2".to_owned(), 99), ("other".to_owned(), 3)]);
    let rates: [(f64, Widths); 3] = [(0.5, widths), (0.25, widths), (0.75, [3, 2, 2, 5])];
    for (rate, want) in rates {
        let plan = again.plan(&with(Amount::Sparsity(rate), Allocation::Uniform));
        assert_eq!(kept(&plan), want, "{rate}");
        assert_eq!((plan.classes[0].original, plan.classes[4].original), (12, 10));
    }
    for allocation in [Allocation::Global, Allocation::Variance] {
        let total = |rate| kept(&again.plan(&with(Amount::Sparsity(rate), allocation))).iter().sum::<u64>();
        // 0.75 · 46 = 34.5 → 34.
        assert_eq!((total(0.25), total(0.5), total(0.75)), (23, 23, 46 - 34), "{allocation}");
    }
    // What is there already reduces the original by more than a third.
    let share = |now: Widths| 1.0 - costs(now).0 as f64 / costs([12, 8, 6, 20]).0 as f64;
    assert!(share(widths) > 0.6);
    assert_eq!(kept(&again.plan(&with(Amount::Parameters(0.6), Allocation::Uniform))), widths);
    let more = again.plan(&with(Amount::Parameters(0.8), Allocation::Uniform));
    assert!(share(kept(&more).try_into().expect("four")) >= 0.8);
}

#[test]
fn costs_are_what_is_written_out() {
    let case = Case::new(WIDTHS, 9);
    for rate in [0.0, 0.3, 0.6, 0.9] {
        let plan = case.plan(&with(Amount::Sparsity(rate), Allocation::Global));
        let found = case.costs(&plan);
        let (parameters, macs) = costs(kept(&plan).try_into().expect("four"));
        assert_eq!((found.parameters_after, found.macs_after), (parameters, Some(macs)), "{rate}");
        assert_eq!((found.parameters_before, found.macs_before), (costs(WIDTHS).0, Some(costs(WIDTHS).1)));
        let sum: u64 = found.layers.iter().map(|layer| layer.parameters_after).sum();
        assert_eq!(sum, parameters);
    }
    let json = serde_json::to_value(case.costs(&case.plan(&ChannelOptions::default()))).expect("JSON");
    assert_eq!(json["layers"][0]["name"], "conv1.weight");
    assert_eq!(json["layers"][0]["parameters_before"], 6 * 28);
}

#[test]
fn reductions_are_the_least_that_reach() {
    let case = Case::new(WIDTHS, 10);
    type Part = fn(Widths) -> u64;
    let of: [(fn(f64) -> Amount, Part); 2] = [(Amount::Parameters, |w| costs(w).0), (Amount::Macs, |w| costs(w).1)];
    for (amount, part) in of {
        let share = |plan: &Plan| {
            let now: Widths = kept(plan).try_into().expect("four");
            1.0 - part(now) as f64 / part(WIDTHS) as f64
        };
        for rate in [0.0, 0.1, 0.25, 0.5, 0.7, 0.85] {
            // Every rate, in steps finer than the distance of two at which a width changes.
            let sparsities = (0..10_000).map(|i| f64::from(i) / 10_000.0);
            let naive = sparsities.map(|s| WIDTHS.map(|n| (n - models::rounded(s, n as usize) as u64).max(1)));
            let least = naive.into_iter().find(|w| 1.0 - part(*w) as f64 / part(WIDTHS) as f64 >= rate);
            let plan = case.plan(&with(amount(rate), Allocation::Uniform));
            assert_eq!(kept(&plan), least.expect("it can be reached"), "{rate}");

            for allocation in [Allocation::Global, Allocation::Variance] {
                let plan = case.plan(&with(amount(rate), allocation));
                assert!(share(&plan) >= rate, "{allocation} {rate}");
                let gone = 23 - kept(&plan).iter().sum::<u64>();
                let less = |gone: u64| case.plan(&with(Amount::Sparsity(gone as f64 / 23.0), allocation));
                assert_eq!(cuts(&less(gone)), cuts(&plan), "{allocation} {rate}");
                if gone > 0 {
                    assert!(share(&less(gone - 1)) < rate, "{allocation} {rate}");
                }
            }
        }
        let told = case.refusal(&with(amount(0.99), Allocation::Global));
        let most = (1.0 - part([1; 4]) as f64 / part(WIDTHS) as f64) * 100.0;
        let told_most: f64 = told.split(" by ").nth(1).and_then(|s| s.split(' ').next()?.parse().ok()).expect(&told);
        assert!(told.contains("at most") && told.contains("frozen"), "{told}");
        assert!(told_most <= most && most - told_most < 0.11, "{told}: {most}");
    }
}

#[test]
fn operations_need_shapes() {
    let mut net = Net::new(WIDTHS, 11);
    net.dependencies.layers[3].macs = None;
    let case = Case::of(net);
    let told = case.refusal(&with(Amount::Macs(0.1), Allocation::Uniform));
    assert!(told.contains("`side.weight`") && told.contains("shape of its input"), "{told}");
    let plan = case.plan(&with(Amount::Parameters(0.1), Allocation::Uniform));
    let found = case.costs(&plan);
    assert_eq!((found.macs_after, found.layers[3].macs_after), (None, None));
    assert!(found.layers[2].macs_after.is_some());
}

#[test]
fn a_rate_for_each_class() {
    let case = Case::new([10; 4], 12);
    let plan = |text: &str| {
        let rates = Rates::parse("r.toml", text).expect("good rates");
        case.try_plan(&with(Amount::Rates(rates), Allocation::Uniform), 1)
    };
    let found = plan("'conv*.weight' = 0.3\n'conv2.weight' = '50%'\nfc1 = 0").expect("a plan");
    assert_eq!(kept(&found), [7, 5, 10, 10]);
    let why: Vec<_> = found.classes.iter().map(|class| class.frozen.as_deref()).collect();
    assert_eq!(why, [None, None, Some("no rate in r.toml"), None, Some("an output of the network")]);
    assert_eq!(found.allocation, None);
    for (text, part) in [
        ("'conv9*' = 0.1", "`conv9*` matches no name"),
        ("'c*' = 0.1\n'*1.weight' = 0.2", "`conv1.weight`"),
        ("fc2 = 0.1", "`fc2`: an output of the network"),
    ] {
        let error = plan(text).err().map(|error| error.to_string());
        let part = if text.starts_with("fc2") { "no rate in r.toml" } else { part };
        assert!(error.as_ref().is_some_and(|error| error.contains(part)), "{text}: {error:?}");
    }
}

#[test]
fn what_is_left_alone_says_why() {
    let case = Case::new(WIDTHS, 13);
    let chosen = |only: &[&str], skip: &[&str]| {
        let owned = |globs: &[&str]| globs.iter().map(|&glob| glob.to_owned()).collect::<Vec<_>>();
        let selection = Selection::new(&owned(only), &owned(skip)).expect("good globs");
        ChannelOptions { selection, ..with(Amount::Sparsity(0.5), Allocation::Global) }
    };
    let plan = case.plan(&chosen(&["conv*"], &["conv2*"]));
    assert_eq!(kept(&plan), [3, 4, 5, 8]);
    let why: Vec<_> = plan.classes.iter().filter_map(|class| class.frozen.as_deref()).collect();
    let only = "not chosen by --only";
    assert_eq!(why, ["skipped by --skip", only, only, "an output of the network"]);
    let told = case.refusal(&chosen(&[], &["*"]));
    assert!(told.contains("no channel can be cut (`conv1.weight`: skipped by --skip; "), "{told}");
    assert!(told.contains("; and 2 more)"), "{told}");
    let told = Case::new([1; 4], 1).refusal(&ChannelOptions::default());
    assert!(told.contains("`conv1.weight`: its only channel stays"), "{told}");

    let mut net = Net::new(WIDTHS, 13);
    net.dependencies.classes[0].frozen = Some("Softmax\u{1b} over it".to_owned());
    net.tensors[7] = Made::new("fc2", secateur::Dtype::I64, &[8, 10], vec![0; 640]);
    let case = Case::of(net);
    let plan = case.plan(&with(Amount::Sparsity(0.5), Allocation::Uniform));
    assert_eq!(kept(&plan), [6, 2, 3, 8]);
    assert!(plan.classes[3].frozen.as_ref().is_some_and(|why| why.contains("`fc2` is I64")), "{plan:?}");
    let told = case.refusal(&chosen(&["none"], &[]));
    assert!(told.contains("Softmax\\u{1b} over it"), "{told}");
    // Alone, the first weight has all that is asked.
    let options = ChannelOptions { coupled: false, ..with(Amount::Sparsity(0.5), Allocation::Uniform) };
    assert_eq!(kept(&case.plan(&options)), [6, 2, 3, 4]);
}

#[test]
fn options_that_contradict() {
    let case = Case::new(WIDTHS, 14);
    let rates = || Amount::Rates(Rates::parse("r", "'*' = 0.1").expect("good rates"));
    let l1 = ChannelOptions { criterion: GroupCriterion::L1, standardize: true, ..ChannelOptions::default() };
    for (options, part) in [
        (with(Amount::Sparsity(0.1), Allocation::Erk), "uniform, global or variance"),
        (with(Amount::Sparsity(0.1), Allocation::Lamp), "uniform, global or variance"),
        (with(Amount::Sparsity(0.1), Allocation::Moments), "--allocation moments"),
        (with(Amount::Sparsity(1.0), Allocation::Uniform), "--sparsity"),
        (with(Amount::Sparsity(f64::NAN), Allocation::Uniform), "--sparsity"),
        (with(Amount::Parameters(-0.1), Allocation::Uniform), "--params"),
        (with(Amount::Macs(1.0), Allocation::Uniform), "--macs"),
        (with(rates(), Allocation::Global), "--rates"),
        (l1, "l1 is not defined"),
    ] {
        let told = case.refusal(&options);
        assert!(told.contains(part), "{told}");
    }
}

#[test]
fn graphs_of_other_weights_are_refused() {
    type Change = fn(&mut Member);
    let changes: [(Change, &str); 6] = [
        (|m| m.tensor = "none".to_owned(), "no such tensor"),
        (|m| m.axis = 4, "no axis 4"),
        (|m| m.start = 1, "too few"),
        (|m| m.run = 2, "too few"),
        (|m| m.run = 0, "too few"),
        (|m| (m.start, m.run) = (u64::MAX, u64::MAX), "too few"),
    ];
    for (change, part) in changes {
        let mut net = Net::new(WIDTHS, 15);
        change(&mut net.dependencies.classes[0].members[3]);
        let told = Case::of(net).refusal(&ChannelOptions::default());
        assert!(told.contains(part) && told.contains("not that of the weights"), "{told}");
    }
    let mut net = Net::new(WIDTHS, 15);
    net.dependencies.classes[0].name = "conv1.bias".to_owned();
    let plan = Case::of(net).plan(&with(Amount::Sparsity(0.5), Allocation::Uniform));
    assert!(
        plan.classes[0].frozen.as_ref().is_some_and(|why| why.contains("no matrix")) && plan.classes[0].cut.is_empty()
    );
}

#[test]
fn plans_are_checked() {
    let case = Case::new(WIDTHS, 16);
    let plan = case.plan(&with(Amount::Sparsity(0.5), Allocation::Uniform));
    let check = |plan: &Plan| plan.classes_for(&case.model, &case.net.dependencies);
    assert_eq!(check(&plan).expect("its own plan"), cuts(&plan));
    let folder = Folder::new();
    let file = folder.write("plan.json", serde_json::to_vec(&plan).expect("JSON"));
    assert_eq!(Plan::read(&file).expect("a plan"), plan);
    let json = serde_json::to_value(&plan).expect("JSON");
    assert_eq!(json["classes"][0]["members"][4]["role"], "input");
    assert!(json["classes"][0].get("frozen").is_none() && json.get("transform").is_none());
    // In another order it is the same.
    let mut turned = plan.clone();
    turned.classes.reverse();
    assert_eq!(check(&turned).expect("the same plan"), cuts(&plan));

    type Change = fn(&mut Plan);
    let changes: [(Change, &[&str]); 12] = [
        (|p| p.pattern = "element".to_owned(), &["`element` cuts no channels"]),
        (|p| drop(p.classes.pop()), &["`fc2`", "no such class"]),
        (|p| p.classes[1].name = "conv9".to_owned(), &["`conv2.weight`", "no such class"]),
        (|p| p.classes.push(p.classes[0].clone()), &["`conv1.weight`", "twice"]),
        (
            |p| {
                let other = secateur::prune::PlannedClass { name: "new".to_owned(), ..p.classes[0].clone() };
                p.classes.push(other);
            },
            &["`new`", "the model has no such class"],
        ),
        (|p| p.classes[0].channels = 7, &["7 channels in the plan and 6 in the model"]),
        (|p| p.classes[0].members[3].start = 1, &["depends", "`conv2.weight`"]),
        (|p| p.classes[0].cut = vec![1, 1], &["not ascending: 1 before 1"]),
        (|p| p.classes[0].cut = vec![1, 6], &["channel 6", "there are 6"]),
        (|p| p.classes[0].cut = (0..6).collect(), &["one has to stay"]),
        (|p| p.classes[0].original = 5, &["6 channels, and 5 before"]),
        (|p| p.classes[4].cut = vec![0], &["`fc2`", "cannot be cut: an output of the network"]),
    ];
    for (change, parts) in changes {
        let mut changed = plan.clone();
        change(&mut changed);
        let told = check(&changed).expect_err("it is not for this model").to_string();
        parts.iter().for_each(|part| assert!(told.contains(part), "{part}: {told}"));
    }

    let selection = Selection::new(&["conv1*".into()], &[]).expect("good globs");
    let part = plan.clone().only(&selection);
    let counts: Vec<usize> = cuts(&part).iter().map(Vec::len).collect();
    assert_eq!(counts, [3, 0, 0, 0, 0]);
    assert!(check(&part).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 80, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn exact_and_never_all(
        widths in prop::array::uniform4(1..24u64),
        gone in prop::array::uniform4(0..8u64),
        seed in any::<u64>(),
        rate in prop_oneof![0.0..1.0, Just(0.5), Just(1.0 - f64::EPSILON)],
        round_to in prop_oneof![Just(1), 1..10u64],
        kinds in (0..3usize, 0..7usize, any::<bool>(), any::<bool>()),
    ) {
        let mut case = Case::new(widths, seed);
        let names = ["conv1.weight", "conv2.weight", "side.weight", "fc1"];
        case.original = names.iter().zip(widths).zip(gone).map(|((name, n), gone)| (name.to_string(), n + gone)).collect();
        let (allocation, criterion, smallest, coupled) = kinds;
        let options = ChannelOptions {
            criterion: *SCORED.get(criterion).unwrap_or(&GroupCriterion::Random { seed }),
            keep: if smallest { Keep::Smallest } else { Keep::Largest },
            coupled,
            round_to: NonZeroU64::new(round_to).expect("not 0"),
            ..with(Amount::Sparsity(rate), [Allocation::Uniform, Allocation::Global, Allocation::Variance][allocation])
        };
        if widths == [1; 4] {
            prop_assert!(case.try_plan(&options, 1).is_err());
            return Ok(());
        }
        let plan = case.plan(&options);
        prop_assert_eq!(&case.try_plan(&options, 1).expect("a plan"), &plan);
        prop_assert!(plan.classes_for(&case.model, &case.net.dependencies).is_ok());
        for (class, now) in plan.classes.iter().zip(widths) {
            let kept = class.kept();
            prop_assert!(kept >= 1 && class.cut.is_sorted_by(|a, b| a < b) && class.cut.iter().all(|c| *c < now));
            prop_assert!(kept % round_to == 0 || kept == now, "{kept} of {now}");
        }
        let cut: u64 = widths.iter().sum::<u64>() - kept(&plan).iter().sum::<u64>();
        let total = |of: [u64; 4]| of.iter().sum::<u64>();
        if round_to == 1 && allocation > 0 {
            let asked = models::rounded(rate, total(widths) as usize + total(gone) as usize) as u64;
            prop_assert_eq!(cut, asked.saturating_sub(total(gone)).min(total(widths) - 4));
        }
    }
}
