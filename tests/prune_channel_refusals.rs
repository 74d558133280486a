//! What keeps channels from being cut, and which plans of channels are refused.

#[path = "files/channels.rs"]
mod channels;
mod files;
#[path = "files/models.rs"]
mod models;
#[path = "files/nets.rs"]
mod nets;

use channels::{Case, cuts, kept, with};
use files::Folder;
use models::Made;
use nets::{Net, WIDTHS};
use secateur::Selection;
use secateur::graph::Member;
use secateur::prune::{Allocation, Amount, ChannelOptions, GroupCriterion, Plan, Rates};

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
        ("fc2 = 0.1", "`conv1.weight`: no rate in r.toml"),
    ] {
        let error = plan(text).err().map(|error| error.to_string());
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
