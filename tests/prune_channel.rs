//! Which channels a plan cuts: those that a few naive lines say.

#[path = "files/channels.rs"]
mod channels;
mod files;
#[path = "files/models.rs"]
mod models;
#[path = "files/nets.rs"]
mod nets;

use std::num::NonZeroU64;

use channels::{Case, SCORED, cuts, kept, naive_order, naive_scores, with};
use models::Made;
use nets::{Net, WIDTHS, Widths, costs};
use proptest::prelude::*;
use secateur::prune::{Allocation, Amount, ChannelOptions, GroupCriterion, Keep, Plan};

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
fn weights_of_many_pieces() {
    let widths = [120, 40, 30, 90];
    let case = Case::new(widths, 17);
    for criterion in [GroupCriterion::Variance, GroupCriterion::L1] {
        let options = ChannelOptions { criterion, ..with(Amount::Sparsity(0.5), Allocation::Uniform) };
        let order = naive_order(&case.net.dependencies, &naive_scores(&case.net, &options), Keep::Largest);
        for (class, planned) in case.plan(&options).classes.iter().take(4).enumerate() {
            let half = widths[class] as usize / 2;
            let mut want: Vec<u64> = order.iter().filter(|of| of.0 == class).map(|of| of.1).take(half).collect();
            want.sort_unstable();
            assert_eq!(planned.cut, want, "{criterion} {}", planned.name);
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
    type Of = fn(f64) -> Amount;
    let of: [(Of, Part); 2] = [(Amount::Parameters, |w| costs(w).0), (Amount::Macs, |w| costs(w).1)];
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
